// Package join is the use case: it verifies the ID token, decides by the rules,
// stores what the token is used for, signs the credentials and writes the record, in
// the order of docs/protocol.md. Its list of steps is Service.run. It declares what it
// needs beside the store; signers implement that. It is pure: no AWS, no HTTP, no
// files, and its clock and randomness are handed to it.
package join
