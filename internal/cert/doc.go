// Package cert makes SSH certificates, X.509 certificates and JWTs by a
// crypto.Signer. Whatever it returns has been parsed again and checked against
// what was asked. It is pure: serials, times and randomness are handed to it.
//
// What is in each product is described in docs/certificates.md.
package cert
