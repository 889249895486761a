package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
)

type jwk map[string]any

func set(keys ...jwk) []byte {
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return b
}

func (k jwk) with(name string, value any) jwk {
	c := jwk{}
	for n, v := range k {
		c[n] = v
	}
	c[name] = value
	if value == nil {
		delete(c, name)
	}
	return c
}

func number(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

func publishedKey(t *testing.T, w world) jwk {
	t.Helper()
	b, err := w.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Keys []jwk }
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s.Keys[0]
}

// modulus is of so many bits; nobody knows whether it has factors.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return number(n.SetBit(n, 0, 1))
}

func TestParseKeySetUsesOnlyKeysThatMayVerify(t *testing.T) {
	r, e := publishedKey(t, rsaWorld()), publishedKey(t, ecWorld())
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := p384.PublicKey.Bytes() // 0x04, x, y (SEC 1 §2.3.3)
	if err != nil {
		t.Fatal(err)
	}
	x384, y384 := base64.RawURLEncoding.EncodeToString(point[1:49]), base64.RawURLEncoding.EncodeToString(point[49:])
	const kid = issuertest.FirstKeyID
	for name, tc := range map[string]struct {
		key  jwk
		alg  string
		want bool
	}{
		"RSA":                  {r, "RS256", true},
		"RSA without alg":      {r.with("alg", nil), "RS256", true},
		"RSA without use":      {r.with("use", nil), "RS256", true},
		"RSA to verify":        {r.with("key_ops", []string{"verify"}), "RS256", true},
		"RSA with unknown":     {r.with("x", 1).with("x", nil).with("status", "active"), "RS256", true},
		"RSA with x5u":         {r.with("x5u", "https://127.0.0.1:1/never-fetched"), "RS256", true},
		"RSA with broken x5c":  {r.with("x5c", []string{"AAAA"}), "RS256", true},
		"P-256":                {e, "ES256", true},
		"P-256 without alg":    {e.with("alg", nil), "ES256", true},
		"RSA of 2048 bits":     {r.with("n", modulus(2048)), "RS256", true},
		"RSA of 8192 bits":     {r.with("n", modulus(8192)), "RS256", true},
		"RSA of 2047 bits":     {r.with("n", modulus(2047)), "RS256", false},
		"RSA of 1024 bits":     {r.with("n", modulus(1024)), "RS256", false},
		"RSA of 8193 bits":     {r.with("n", modulus(8193)), "RS256", false},
		"RSA, e of five bytes": {r.with("e", "AQAAAAAD"), "RS256", false},
		"RSA, e of 2^64 + 3":   {r.with("e", "AQAAAAAAAAAD"), "RS256", false},
		"RSA, e of 1":          {r.with("e", "AQ"), "RS256", false},
		"RSA without n":        {r.with("n", nil), "RS256", false},
		"RSA for RS384":        {r.with("alg", "RS384"), "RS256", false},
		"RSA for PS256":        {r.with("alg", "PS256"), "RS256", false},
		"RSA for HS256":        {r.with("alg", "HS256"), "RS256", false},
		"RSA for ES256":        {r.with("alg", "ES256"), "ES256", false},
		"RSA to encrypt":       {r.with("use", "enc"), "RS256", false},
		"RSA to sign only":     {r.with("key_ops", []string{"sign"}), "RS256", false},
		"RSA for nothing":      {r.with("key_ops", []string{}), "RS256", false},
		"RSA without kid":      {r.with("kid", nil), "RS256", false},
		"RSA with empty kid":   {r.with("kid", ""), "RS256", false},
		"RSA, use is a number": {r.with("use", 1), "RS256", false},
		"RSA, use is a list":   {r.with("use", []string{"sig"}), "RS256", false},
		"RSA, kid is a number": {r.with("kid", 1), "RS256", false},
		"P-256 off the curve":  {e.with("y", e["x"]), "ES256", false},
		"P-256 without y":      {e.with("y", nil), "ES256", false},
		"P-384":                {e.with("crv", "P-384").with("x", x384).with("y", y384), "ES256", false},
		"P-384 without alg":    {e.with("alg", nil).with("crv", "P-384").with("x", x384).with("y", y384), "ES256", false},
		"Ed25519":              {jwk{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": strings.Repeat("A", 43)}, "EdDSA", false},
		"symmetric":            {jwk{"kty": "oct", "k": "c2VjcmV0", "kid": kid, "alg": "HS256"}, "HS256", false},
		"symmetric as RS256":   {jwk{"kty": "oct", "k": "c2VjcmV0", "kid": kid, "alg": "RS256"}, "RS256", false},
		"unknown type":         {jwk{"kty": "AKP", "kid": kid}, "RS256", false},
		"no type":              {r.with("kty", nil), "RS256", false},
		"empty object":         {jwk{}, "RS256", false},
	} {
		t.Run(name, func(t *testing.T) {
			other := publishedKey(t, ecWorld()).with("kid", "other")
			keys, err := token.ParseKeySet(set(tc.key, other))
			if err != nil {
				t.Fatalf("the other key is lost with it: %v", err)
			}
			if got := keys.Has(kid, tc.alg); got != tc.want {
				t.Errorf("Has is %t, want %t", got, tc.want)
			}
			if !keys.Has("other", "ES256") || keys.Has("other", "RS256") || keys.Has("", "ES256") {
				t.Error("the other key is not there for ES256 alone")
			}
			if _, err := token.ParseKeySet(set(tc.key)); (err == nil) != tc.want {
				t.Errorf("alone: %v", err)
			}
		})
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	r, e := publishedKey(t, rsaWorld()), publishedKey(t, ecWorld())
	twice, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, jwks := range map[string][]byte{
		"nothing":               nil,
		"no JSON":               []byte("<html>"),
		"no set":                []byte(`[]`),
		"null":                  []byte(`null`),
		"no keys":               []byte(`{}`),
		"empty":                 set(),
		"keys is an object":     []byte(`{"keys":{}}`),
		"keys twice":            []byte(`{"keys":[],"keys":[]}`),
		"trailing data":         append(set(r), '}'),
		"same key twice":        set(r, r),
		"same kid, two RSA":     set(r, r.with("n", number(twice.N))),
		"same kid, alg implied": set(r, r.with("n", number(twice.N)).with("alg", nil)),
	} {
		t.Run(name, func(t *testing.T) {
			if keys, err := token.ParseKeySet(jwks); err == nil {
				t.Errorf("accepted: %v", keys)
			}
		})
	}
	if _, err := token.ParseKeySet(set(r, e)); err != nil {
		t.Errorf("an RSA and an EC key with one kid: %v", err)
	}
}

func TestNilKeySetHasNoKey(t *testing.T) {
	w := ecWorld()
	var none *token.KeySet
	if none.Has(issuertest.FirstKeyID, "ES256") {
		t.Error("a nil set has a key")
	}
	raw := w.mintBitbucket(t)
	_, err := verify(raw, none, w.bitbucket(), now())
	expectCode(t, err, token.UnknownKey, w.bitbucket(), raw)
}

func TestKeySetStartsNothingAndIsSafeForConcurrentUse(t *testing.T) {
	w := ecWorld()
	raw := w.mintBitbucket(t)
	before := runtime.NumGoroutine()
	keys, err := parsePublished(w.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines were started", after-before)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := verify(raw, keys, w.bitbucket(), now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
