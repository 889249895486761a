// Package embedded runs the whole join service in one process: the SQLite store,
// the authorities' key files and the HTTP handler of the Lambda function, for
// one machine, for tests and for the demonstration.
package embedded
