// Package sqlite is the embedded store: one SQLite database in a data
// directory, shared by any number of processes on one machine, such as
// gatepassctl serve and the other commands of gatepassctl.
//
// What a call has reported as stored survives the death of the process and a
// power loss: the database is in WAL mode with synchronous=FULL. The directory
// must be on a local disk, since SQLite's locks and shared memory do not work
// across machines (https://www.sqlite.org/wal.html).
//
// Reads are consistent. Writes take turns; one that has waited for another
// process for ten seconds fails. What joins write is committed in groups: docs/decisions/0021-one-durable-write.md.
package sqlite
