// Package api holds the wire types and the error codes of the Gatepass join
// service, shared by the server, the Lambda function and the client. It is
// pure: no network, no clock, nothing but the standard library.
//
// The protocol itself is described in docs/protocol.md.
package api
