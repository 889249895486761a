// Package commandtest is for tests of the whole: it builds the two commands from
// this source, once for a test program, and runs them and gatepassctl serve.
package commandtest
