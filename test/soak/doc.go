// Package soak has the real service join jobs for a while, and injects faults meanwhile: in
// gatepassctl serve on SQLite, in the functions on DynamoDB and KMS, and in the clocks.
// Afterwards it compares what clients got with what is stored.
//
// GATEPASS_SOAK is how long, such as 10m; make soak sets it. By default it is some seconds.
package soak
