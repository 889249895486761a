package cert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// BenchmarkBare is what no product can do without: one P-256 signature, and its
// verification, for none leaves unchecked.
func BenchmarkBare(b *testing.B) {
	key, digest := newECDSA(b, elliptic.P256()), sha256.Sum256(nil)
	b.ReportAllocs()
	for b.Loop() {
		sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignSSH(b *testing.B) {
	ca, r := newECDSA(b, elliptic.P256()), sshRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cert.SignSSH(rand.Reader, ca, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignX509(b *testing.B) {
	ca, key := authority(b, cert.X509Identity)
	r := request(b, cert.X509Identity)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cert.SignX509(rand.Reader, ca, key, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignJWT(b *testing.B) {
	key, c := newECDSA(b, elliptic.P256()), claims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cert.SignJWT(rand.Reader, key, c); err != nil {
			b.Fatal(err)
		}
	}
}
