// Package attack attacks gatepassctl serve as a stranger on the network can: floods, and
// requests that are not what they seem. Each attack runs against the real program. During a
// flood an honest job must join, and the server must stay within 128 MiB.
//
// What attacks the client is beside it, since it takes no server: hostile services and values in
// cmd/gatepass, hostile hosts in internal/client/ssh, planted files in internal/client/destination.
//
// GATEPASS_ATTACK=long makes the floods as large as those that the bounds were made for.
package attack
