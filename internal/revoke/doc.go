// Package revoke makes the lists that tell servers which certificates no longer
// count although they have not ended: an OpenSSH KRL and X.509 CRLs.
//
// A list says nothing but serials. What cannot be read or signed is an error: a
// list that lacks a revocation would let in whom it should keep out.
package revoke
