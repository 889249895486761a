// Package jwks is the only code that dials issuers. It discovers and fetches
// their key sets (OpenID Connect Discovery 1.0 §4, RFC 7517), keeps the keys
// that may verify ID tokens, and never lets a bad answer replace a good set.
package jwks
