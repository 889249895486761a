package cert_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

func claims() map[string]any {
	return map[string]any{
		"iss": "https://join.example.com", "sub": "bot:example", "aud": "https://vault.example.com",
		"iat": now.Unix(), "exp": now.Add(15 * time.Minute).Unix(), "jti": "01JNABCDEFGHJKMNPQRSTVWXYZ-0",
		"groups":   []string{"deployers", "<others>&"},
		"gatepass": map[string]any{"branchName": "main", "n": 1e21, "context-ids": []any{"a", "b"}, "ssh-rerun": false, "none": nil},
	}
}

// Verified by keyfunc from the published key set, as a relying party does it.
func TestJWTsVerifyByThePublishedKeys(t *testing.T) {
	old, key := newECDSA(t, elliptic.P256()), newECDSA(t, elliptic.P256())
	set, err := cert.JWKS([]crypto.PublicKey{key.Public(), old.Public()})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyfunc.NewJWKSetJSON(set)
	if err != nil {
		t.Fatal(err)
	}
	text, err := cert.SignJWT(rand.Reader, key, claims())
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(text, keys.Keyfunc, jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithIssuer("https://join.example.com"),
		jwt.WithAudience("https://vault.example.com"), jwt.WithSubject("bot:example"), jwt.WithExpirationRequired())
	if err != nil {
		t.Fatal(err)
	}
	kid, err := cert.KeyID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"alg": "ES256", "typ": "JWT", "kid": kid}; !maps.Equal(token.Header, want) {
		t.Errorf("the header is %v", token.Header)
	}
	stranger, err := cert.SignJWT(rand.Reader, newECDSA(t, elliptic.P256()), claims())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.Parse(stranger, keys.Keyfunc); err == nil {
		t.Error("a stranger's JWT verifies")
	}
}

// A half of a signature that is shorter than 32 octets is padded: one in 128 is.
func TestJWTSignaturesHave64Octets(t *testing.T) {
	key := newECDSA(t, elliptic.P256())
	short := lyingSigner{
		public: func() crypto.PublicKey { return key.Public() },
		sign: func(digest []byte) ([]byte, error) {
			for {
				der, err := ecdsa.SignASN1(rand.Reader, key, digest)
				if err != nil || len(der) < 70 {
					return der, err
				}
			}
		},
	}
	for range 20 {
		text, err := cert.SignJWT(rand.Reader, short, claims())
		if err != nil {
			t.Fatal(err)
		}
		sig, err := base64.RawURLEncoding.DecodeString(text[strings.LastIndexByte(text, '.')+1:])
		if err != nil || len(sig) != 64 {
			t.Fatalf("the signature has %d octets: %v", len(sig), err)
		}
	}
}

func TestJWTClaimsThatAreRefused(t *testing.T) {
	key := newECDSA(t, elliptic.P256())
	for _, tt := range []struct {
		name, claim string
		value       any
		reason      string
	}{
		{"no issuer", "iss", nil, "claim iss"},
		{"an empty subject", "sub", "", "claim sub"},
		{"several audiences", "aud", []string{"a", "b"}, "claim aud"},
		{"no audience", "aud", nil, "claim aud"},
		{"no id", "jti", nil, "claim jti"},
		{"no end", "exp", nil, "iat and exp"},
		{"an end that is text", "exp", "1772600000", "exp"},
		{"an end before the start", "exp", now.Unix(), "iat the smaller"},
		{"no end to speak of", "exp", int64(253402300800), "iat and exp"},
		{"no start", "iat", nil, "iat and exp"},
		{"invalid UTF-8", "gatepass", "\xff", "claim"},
		{"what JSON cannot say", "gatepass", func() {}, "signing a JWT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := claims()
			c[tt.claim] = tt.value
			text, err := cert.SignJWT(rand.Reader, key, c)
			mustFail(t, err, tt.reason)
			if text != "" {
				t.Errorf("it returned %q", text)
			}
		})
	}
}

func TestFaultySignersMakeNoJWT(t *testing.T) {
	for name, s := range liars(t, newECDSA(t, elliptic.P256())) {
		t.Run(name, func(t *testing.T) {
			if text, err := cert.SignJWT(rand.Reader, s, claims()); err == nil || text != "" {
				t.Fatalf("it returned %q, %v", text, err)
			}
		})
	}
	for name, s := range wrongKinds(t) {
		t.Run(name, func(t *testing.T) {
			_, err := cert.SignJWT(rand.Reader, s, claims())
			mustFail(t, err, "must be ECDSA P-256")
		})
	}
}

// The thumbprint is compared with jwkset's, and the form with RFC 7517's names.
func TestKeysArePublishedAsJWKs(t *testing.T) {
	var keys []crypto.PublicKey
	for range 200 { // enough for a coordinate that begins with a zero
		keys = append(keys, newECDSA(t, elliptic.P256()).Public())
	}
	text, err := cert.JWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		got := set.Keys[i]
		if len(got) != 7 || got["kty"] != "EC" || got["crv"] != "P-256" || got["use"] != "sig" || got["alg"] != "ES256" {
			t.Fatalf("got %v", got)
		}
		x, _ := base64.RawURLEncoding.DecodeString(got["x"])
		y, _ := base64.RawURLEncoding.DecodeString(got["y"])
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil || len(x) != 32 || len(y) != 32 || !public.Equal(key) {
			t.Fatalf("got %v", got)
		}
		other, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if want := thumbprint(t, other.Marshal()); got["kid"] != want {
			t.Fatalf("the kid is %s, want %s", got["kid"], want)
		}
	}
	if text, err := cert.JWKS(nil); err != nil || string(text) != `{"keys":[]}` {
		t.Errorf("no keys are %s, %v", text, err)
	}
	if _, err := cert.JWKS([]crypto.PublicKey{newECDSA(t, elliptic.P384()).Public()}); err == nil {
		t.Error("a P-384 key is published as ES256")
	}
}

// thumbprint follows RFC 7638 §3 word by word.
func thumbprint(t *testing.T, k jwkset.JWKMarshal) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(`{"crv":"` + k.CRV.String() + `","kty":"` + k.KTY.String() + `","x":"` + k.X + `","y":"` + k.Y + `"}`)
	h := crypto.SHA256.New()
	h.Write(b.Bytes())
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
