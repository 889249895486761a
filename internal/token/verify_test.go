package token_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
)

func TestHonestTokensVerify(t *testing.T) {
	for name, w := range map[string]world{"RS256": rsaWorld(), "ES256": ecWorld()} {
		t.Run(name, func(t *testing.T) {
			raw := w.mintBitbucket(t)
			v, err := verify(raw, w.keys, w.bitbucket(), now())
			if err != nil {
				t.Fatal(err)
			}
			if v.Issuer != w.BitbucketURL() || !strings.HasPrefix(v.Subject, issuertest.RepositoryUUID) || len(v.Audience) != 1 || v.Audience[0] != audience {
				t.Errorf("verified %+v", v)
			}
			if !v.IssuedAt.Equal(now()) || v.Expires.Sub(v.IssuedAt) != issuertest.DefaultTokenLifetime {
				t.Errorf("issued %s, expires %s", v.IssuedAt, v.Expires)
			}
			if _, err := verify(w.mintCircleCI(t), w.keys, w.circleCI(), now()); err != nil {
				t.Errorf("CircleCI: %v", err)
			}
		})
	}
}

// An algorithm that the verifier does not allow is refused by Parse, before any
// key is looked for. Each token here is signed correctly by the key it uses.
func TestAlgorithmConfusion(t *testing.T) {
	w := rsaWorld()
	honest := w.mintBitbucket(t)
	public, err := w.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(publishedKey(t, w))
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := w.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const kid = issuertest.FirstKeyID
	for name, forge := range map[string]func() (string, error){
		"none": func() (string, error) { return issuertest.Unsigned(honest, kid) },
		"HS256 keyed with the PEM": func() (string, error) {
			return issuertest.SignHMAC(honest, kid, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		},
		"HS256 keyed with the PKCS #1 PEM": func() (string, error) {
			return issuertest.SignHMAC(honest, kid, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public.(*rsa.PublicKey))}))
		},
		"HS256 keyed with the DER":     func() (string, error) { return issuertest.SignHMAC(honest, kid, der) },
		"HS256 keyed with the JWK":     func() (string, error) { return issuertest.SignHMAC(honest, kid, jwk) },
		"HS256 keyed with the key set": func() (string, error) { return issuertest.SignHMAC(honest, kid, jwks) },
		"HS256 keyed with the modulus": func() (string, error) { return issuertest.SignHMAC(honest, kid, public.(*rsa.PublicKey).N.Bytes()) },
		"HS256 keyed with nothing":     func() (string, error) { return issuertest.SignHMAC(honest, kid, []byte{}) },
		"RS384":                        func() (string, error) { return issuertest.Resign(honest, kid, "RS384", rsaKey) },
		"RS512":                        func() (string, error) { return issuertest.Resign(honest, kid, "RS512", rsaKey) },
		"PS256":                        func() (string, error) { return issuertest.Resign(honest, kid, "PS256", rsaKey) },
		"EdDSA":                        func() (string, error) { return issuertest.Resign(honest, kid, "EdDSA", edKey) },
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := forge()
			if err != nil {
				t.Fatal(err)
			}
			_, err = verify(raw, w.keys, w.bitbucket(), now())
			expectCode(t, err, token.UnsupportedAlgorithm, w.bitbucket(), raw)
		})
	}
}

// The header names the key by kid and alg, and by nothing else.
func TestKeyIsChosenByKidAndAlg(t *testing.T) {
	i, err := issuertest.New(issuertest.Config{Offline: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	const shared = issuertest.FirstKeyID
	if err := i.AddKey(shared, issuertest.ES256); err != nil {
		t.Fatal(err)
	}
	if err := i.AddKey("key-2", issuertest.ES256); err != nil {
		t.Fatal(err)
	}
	w := world{Issuer: i}
	if w.keys, err = parsePublished(i); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    token.Code
	}{
		"shared kid, RS256":              {[]issuertest.Option{issuertest.SignedBy(shared, "RS256")}, accept},
		"shared kid, ES256":              {[]issuertest.Option{issuertest.SignedBy(shared, "ES256")}, accept},
		"another kid":                    {[]issuertest.Option{issuertest.SignedBy("key-2", "")}, accept},
		"unknown kid":                    {[]issuertest.Option{issuertest.WithHeader("kid", "key-3")}, token.UnknownKey},
		"kid in upper case":              {[]issuertest.Option{issuertest.WithHeader("kid", "KEY-2")}, token.UnknownKey},
		"kid with a space":               {[]issuertest.Option{issuertest.WithHeader("kid", "key-2 ")}, token.UnknownKey},
		"kid that is a path":             {[]issuertest.Option{issuertest.WithHeader("kid", "../../dev/null")}, token.UnknownKey},
		"known kid, other alg":           {[]issuertest.Option{issuertest.SignedBy("key-2", ""), issuertest.WithHeader("alg", "RS256")}, token.UnknownKey},
		"ES256 signature said to be RSA": {[]issuertest.Option{issuertest.SignedBy(shared, "ES256"), issuertest.WithHeader("alg", "RS256")}, token.BadSignature},
		"RSA signature said to be ES256": {[]issuertest.Option{issuertest.SignedBy(shared, "RS256"), issuertest.WithHeader("alg", "ES256")}, token.BadSignature},
		"signed by one, kid of another":  {[]issuertest.Option{issuertest.SignedBy(shared, "ES256"), issuertest.WithHeader("kid", "key-2")}, token.BadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			raw := w.mintBitbucket(t, tc.options...)
			_, err := verify(raw, w.keys, w.bitbucket(), now())
			expectCode(t, err, tc.want, w.bitbucket(), raw)
		})
	}
}

// A header that carries or points to a key is not obeyed.
func TestKeysInTheHeaderAreIgnored(t *testing.T) {
	w := rsaWorld()
	attacker, err := issuertest.NewStranger(issuertest.FirstKeyID, issuertest.RS256)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := attacker.JWK()
	if err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]issuertest.Option{
		"nothing": issuertest.WithHeader("typ", "JWT"),
		"jwk":     issuertest.WithHeader("jwk", embedded),
		"jku":     issuertest.WithHeader("jku", "https://evil.example/keys.json"),
		"x5u":     issuertest.WithHeader("x5u", "https://evil.example/chain.pem"),
		"x5c":     issuertest.WithHeader("x5c", []string{"MIIB"}),
		"x5t":     issuertest.WithHeader("x5t", "AAAA"),
	} {
		t.Run(name, func(t *testing.T) {
			honest := w.mintBitbucket(t, header)
			if _, err := verify(honest, w.keys, w.bitbucket(), now()); err != nil {
				t.Errorf("honest token that carries it: %v", err)
			}
			forged := w.mintBitbucket(t, header, attacker.Signs())
			_, err := verify(forged, w.keys, w.bitbucket(), now())
			expectCode(t, err, token.BadSignature, w.bitbucket(), forged)
		})
	}
}

func TestTamperedTokens(t *testing.T) {
	for name, w := range map[string]world{"RS256": rsaWorld(), "ES256": ecWorld()} {
		honest := w.mintBitbucket(t)
		other := w.mintBitbucket(t)
		cut := strings.LastIndexByte(honest, '.') + 1
		signature, err := base64.RawURLEncoding.DecodeString(honest[cut:])
		if err != nil {
			t.Fatal(err)
		}
		resigned := func(signature []byte) string {
			return honest[:cut] + base64.RawURLEncoding.EncodeToString(signature)
		}
		flipped := append([]byte{}, signature...)
		flipped[10] ^= 1
		payload, err := issuertest.Payload(honest)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(honest, ".")
		for what, raw := range map[string]string{
			"flipped bit in the signature": resigned(flipped),
			"signature of another token":   honest[:cut] + other[strings.LastIndexByte(other, '.')+1:],
			"signature cut short":          resigned(signature[:len(signature)-1]),
			"signature with a byte more":   resigned(append(append([]byte{}, signature...), 0)),
			"signature with a byte before": resigned(append([]byte{0}, signature...)),
			"signature of zeros":           resigned(make([]byte, len(signature))),
			"one byte of signature":        resigned([]byte{1}),
			"payload changed":              parts[0] + "." + b64(strings.Replace(string(payload), "main", "mein", 1)) + "." + parts[2],
			"payload with a space more":    parts[0] + "." + b64(string(payload)+" ") + "." + parts[2],
			"header changed":               b64(`{"kid":"key-1","alg":"`+name+`"}`) + "." + parts[1] + "." + parts[2],
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				_, err := verify(raw, w.keys, w.bitbucket(), now())
				expectCode(t, err, token.BadSignature, w.bitbucket(), raw)
			})
		}
	}
}

// A valid signature excuses nothing about the form: these are signed as they
// stand by the key that the issuer publishes.
func TestSignedAndMalformed(t *testing.T) {
	w := ecWorld()
	payload, err := issuertest.Payload(w.mintBitbucket(t))
	if err != nil {
		t.Fatal(err)
	}
	const header = `{"alg":"ES256","kid":"key-1"}`
	claims := strings.TrimSuffix(string(payload), "}")
	for name, tc := range map[string]struct {
		header, payload string
		want            token.Code
	}{
		"honest":                     {header, claims + `}`, accept},
		"iss twice, the right last":  {header, `{"iss":"https://evil.example",` + claims[1:] + `}`, token.Malformed},
		"branch twice":               {header, claims + `,"branchName":"main"}`, token.Malformed},
		"kid twice":                  {`{"alg":"ES256","kid":"key-2","kid":"key-1"}`, claims + `}`, token.Malformed},
		"critical extension":         {`{"alg":"ES256","kid":"key-1","crit":["x"],"x":1}`, claims + `}`, token.Malformed},
		"invalid UTF-8":              {header, claims + ",\"x\":\"\xff\"}", token.Malformed},
		"two payloads":               {header, claims + `}` + claims + `}`, token.Malformed},
		"nested deep":                {header, claims + `,"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, token.Malformed},
		"padded up to beyond 16 KiB": {header, claims + strings.Repeat(" ", 16<<10) + `}`, token.Malformed},
		"no JSON":                    {header, "Test", token.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := w.SignRaw([]byte(tc.header), []byte(tc.payload))
			if err != nil {
				t.Fatal(err)
			}
			_, err = verify(raw, w.keys, w.bitbucket(), now())
			expectCode(t, err, tc.want, w.bitbucket(), raw)
		})
	}
}

// Whoever has an ES256 token can make a second one that verifies as well, so the
// token's uses must be counted under a hash that both have.
func TestMalleatedSignatureHasTheSameHash(t *testing.T) {
	w := ecWorld()
	honest := w.mintBitbucket(t)
	twin, err := issuertest.Malleate(honest)
	if err != nil {
		t.Fatal(err)
	}
	if twin == honest {
		t.Fatal("the signature was not changed")
	}
	if _, err := verify(twin, w.keys, w.bitbucket(), now()); err != nil {
		t.Fatalf("the twin does not verify, so this test is of no use: %v", err)
	}
	a, err := token.Parse(honest)
	if err != nil {
		t.Fatal(err)
	}
	b, err := token.Parse(twin)
	if err != nil {
		t.Fatal(err)
	}
	if a.Hash() != b.Hash() {
		t.Error("two tokens that differ by their signature have different hashes")
	}
	c, err := token.Parse(w.mintBitbucket(t))
	if err != nil {
		t.Fatal(err)
	}
	if a.Hash() == c.Hash() {
		t.Error("two jobs' tokens have the same hash")
	}
}

func TestUnknownMethod(t *testing.T) {
	w := ecWorld()
	raw := w.mintBitbucket(t)
	p, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"", "Bitbucket", "jenkins"} {
		if v, err := p.VerifySignature(w.keys, method); err == nil {
			t.Errorf("method %q verified %v", method, v)
		}
	}
	// All else about the token is right, so only the method can refuse it.
	v, err := p.VerifySignature(w.keys, "bitbucket")
	if err != nil {
		t.Fatal(err)
	}
	e := w.bitbucket()
	e.Method = "circleci"
	if err := v.Check(e, now()); err == nil {
		t.Error("verified for one method and accepted for another")
	}
}
