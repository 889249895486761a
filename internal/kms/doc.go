// Package kms keeps the authorities in AWS KMS: keys that never leave it, of
// type ECC_NIST_P256, use SIGN_VERIFY, one for each authority. Public keys and
// X.509 certificates are read once per start, beside the first join's own
// reads; afterwards the only call is the signature itself. The certificate of an X.509 authority is made when it is
// first needed, by whoever comes first.
//
// After a rotation the table Resources says which keys an authority has
// (internal/authority). Authorities go by it for a minute at a time. KeyRing makes
// and retires keys, with an administrator's rights.
package kms
