// Package attack attacks gatepassctl serve as a stranger on the network can: floods, and
// requests that are not what they seem. Each attack runs against the real program. During a
// flood an honest job must join, and the server must stay within 128 MiB.
//
// GATEPASS_ATTACK=long makes the floods as large as those that the bounds were made for.
package attack
