package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/token"
)

// BenchmarkVerify is all five steps; /bare is the signature's cryptography alone.
func BenchmarkVerify(b *testing.B) {
	for _, tc := range []struct {
		name  string
		world world
		bare  func(key crypto.PublicKey, digest, signature []byte) bool
	}{
		{"RS256", rsaWorld(), func(key crypto.PublicKey, digest, signature []byte) bool {
			return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest, signature) == nil
		}},
		{"ES256", ecWorld(), func(key crypto.PublicKey, digest, signature []byte) bool {
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return ecdsa.Verify(key.(*ecdsa.PublicKey), digest, r, s)
		}},
	} {
		raw := tc.world.mintCircleCI(b)
		b.Run(tc.name+"/token", func(b *testing.B) {
			b.ReportAllocs()
			e := tc.world.circleCI()
			for b.Loop() {
				if _, err := verify(raw, tc.world.keys, e, now()); err != nil {
					b.Fatal(err)
				}
			}
		})
		key, err := tc.world.PublicKey()
		if err != nil {
			b.Fatal(err)
		}
		cut := strings.LastIndexByte(raw, '.')
		signature, err := base64.RawURLEncoding.DecodeString(raw[cut+1:])
		if err != nil {
			b.Fatal(err)
		}
		b.Run(tc.name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				digest := sha256.Sum256([]byte(raw[:cut]))
				if !tc.bare(key, digest[:], signature) {
					b.Fatal("does not verify")
				}
			}
		})
	}
}

// BenchmarkParseKeySet is what a join pays when its issuer's set is not cached.
func BenchmarkParseKeySet(b *testing.B) {
	jwks := []byte(fixed(b, "jwks.json"))
	for b.Loop() {
		if _, err := token.ParseKeySet(jwks); err != nil {
			b.Fatal(err)
		}
	}
}
