// Package issuertest is an OIDC issuer such as those of Bitbucket Pipelines and
// CircleCI, for tests. It serves discovery and key sets over
// HTTPS on a loopback address, under URLs of the true shape, and mints tokens of
// the true shape; or it serves nothing and mints under the CIs' real names, for
// key sets that are imported by hand.
//
// What a hostile issuer or a forger does is in hostile_http.go and
// hostile_token.go; nothing else misbehaves.
package issuertest
