// Package join is the use case: it verifies the ID token, decides by the rules,
// claims the token's use, signs the credentials and writes the record, in the
// order of docs/protocol.md. It declares the ports it needs; stores and signers
// implement them. It is pure: no AWS, no HTTP, no files, and its clock and
// randomness are handed to it.
package join
