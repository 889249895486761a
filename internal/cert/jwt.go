package cert

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// SignJWT signs claims with ES256 (RFC 7518 §3.4) and returns a compact JWS,
// verified again with the signer's public key. The header is alg, typ "JWT" and
// kid, the key's thumbprint. claims must have iss, sub, aud and jti, each one
// string that is not empty, and exp after iat, in seconds; values are strings,
// numbers, booleans, and maps and slices of these. The signer's key must be
// ECDSA P-256.
func SignJWT(rand io.Reader, ca crypto.Signer, claims map[string]any) (string, error) {
	signer, err := newAuthoritySigner(ca)
	if err != nil {
		return "", err
	}
	kid, err := KeyID(signer.public)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(es256{rand}, jwt.MapClaims(claims))
	token.Header["kid"] = kid
	text, err := token.SignedString(signer)
	if err != nil {
		return "", fmt.Errorf("signing a JWT: %w", err)
	}
	if err := checkJWT(text, signer, kid, claims); err != nil {
		return "", err
	}
	return text, nil
}

// checkJWT parses the token as its audience will and compares it with what was asked.
func checkJWT(text string, signer authoritySigner, kid string, claims map[string]any) error {
	// Times are compared below, with each other: this package has no clock.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithJSONNumber(), jwt.WithoutClaimsValidation())
	made := jwt.MapClaims{}
	token, err := parser.ParseWithClaims(text, made, func(*jwt.Token) (any, error) { return signer.public, nil })
	if err != nil {
		return fmt.Errorf("the JWT that was made does not verify: %w", err)
	}
	for _, name := range []string{"iss", "sub", "aud", "jti"} {
		if s, ok := made[name].(string); !ok || s == "" {
			return fmt.Errorf("a JWT needs the claim %s, a string that is not empty", name)
		}
	}
	exp, expErr := made.GetExpirationTime()
	iat, iatErr := made.GetIssuedAt()
	if expErr != nil || iatErr != nil || exp == nil || iat == nil || !exp.After(iat.Time) || exp.Unix() > endOfTime {
		return errors.New("a JWT needs the claims iat and exp, in seconds, iat the smaller")
	}
	asked, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	back, err := json.Marshal(made)
	if err != nil {
		return err
	}
	return checkAll("JWT", []check{
		{len(token.Header) == 3 && token.Header["alg"] == "ES256" && token.Header["typ"] == "JWT" && token.Header["kid"] == kid, "the header"},
		{bytes.Equal(asked, back), "a claim"},
	})
}

// es256 is ES256 by a crypto.Signer; the library's own wants the private key in
// memory. It only signs: verification is the library's.
type es256 struct{ rand io.Reader }

// Alg returns the name of the algorithm.
func (es256) Alg() string { return jwt.SigningMethodES256.Alg() }

// Verify refuses: tokens are verified by the library's ES256.
func (es256) Verify(string, []byte, any) error { return jwt.ErrInvalidKeyType }

// Sign returns R || S, 32 octets each (RFC 7518 §3.4), where a crypto.Signer
// returns the ASN.1 of RFC 3279 §2.2.3.
func (m es256) Sign(signingInput string, key any) ([]byte, error) {
	signer, ok := key.(authoritySigner)
	if !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	digest := sha256.Sum256([]byte(signingInput))
	der, err := signer.Sign(m.rand, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	const size = 32
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) > 0 || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 8*size || sig.S.BitLen() > 8*size {
		return nil, errors.New("the signer returned no ECDSA P-256 signature in ASN.1")
	}
	raw := make([]byte, 2*size)
	sig.R.FillBytes(raw[:size])
	sig.S.FillBytes(raw[size:])
	return raw, nil
}
