package api

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// RequestDigest tells join requests apart: two with the same digest are the same request
// sent twice. An ID token can be bound to one (docs/protocol.md, "Bound ID tokens").
type RequestDigest [sha256.Size]byte

// String is the digest in lower-case hexadecimal, as uses and records have it.
func (d RequestDigest) String() string { return hex.EncodeToString(d[:]) }

// digestVersion begins what is hashed, so that another form can never have the same digest.
const digestVersion = "gatepass-request-v1"

// Digest is the SHA-256 of what the request asks for, byte for byte as docs/protocol.md
// has it. keys has the KeyFingerprint of each credential's key, in the order of
// Credentials, and "" for a jwt. The lifetime does not count, so that a retry may ask for
// what remains; nor does how a key is written, nor who asks.
//
// A request that is not Repeatable has a digest that says nothing: anybody can make it.
func (r *JoinRequest) Digest(keys []string) RequestDigest {
	order := make([]int, len(r.Credentials))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(r.Credentials[i].Name, r.Credentials[j].Name) })

	w := digestWriter{to: sha256.New()}
	w.texts(digestVersion, r.Token, r.RetryKey)
	for _, i := range order {
		c := &r.Credentials[i]
		w.texts(c.Name, c.Type, c.Usage, keys[i], c.DBUser, c.DBName, c.App, c.KubernetesUser, c.Audience)
		w.texts(strconv.Itoa(len(c.Roles)))
		w.texts(slices.Sorted(slices.Values(c.Roles))...)
	}
	return RequestDigest(w.to.Sum(nil))
}

// Repeatable reports whether the same request can be told when it is sent again. A JWT is
// a secret that needs no key to use: without a retry key, anybody could ask for it again.
func (r *JoinRequest) Repeatable() bool {
	return r.RetryKey != "" || !slices.ContainsFunc(r.Credentials, func(c CredentialRequest) bool { return c.Type == TypeJWT })
}

// KeyFingerprint names a public key: the SHA-256 of its encoding, in lower-case
// hexadecimal. The encoding is that of RFC 4253 §6.6 for ssh, which stands in base64 in
// public_key, and the SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7) for x509.
func KeyFingerprint(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}

// digestWriter writes texts so that no two lists of them come to the same bytes: each
// with its length in bytes before it.
type digestWriter struct {
	to   hash.Hash
	line []byte
}

func (w *digestWriter) texts(all ...string) {
	for _, text := range all {
		w.line = strconv.AppendInt(w.line[:0], int64(len(text)), 10)
		w.line = append(w.line, ':')
		w.line = append(w.line, text...)
		w.line = append(w.line, '\n')
		_, _ = w.to.Write(w.line) // a hash never fails
	}
}
