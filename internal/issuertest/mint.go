package issuertest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// draft is a token before it is signed.
type draft struct {
	header, claims map[string]any
	kid, alg       string // which key signs, where given
	key            *key   // signs instead of one of the issuer's
}

// Option changes a token before it is signed. Options apply in their order.
type Option func(*draft)

// WithClaim sets a claim to any value that JSON has.
func WithClaim(name string, value any) Option {
	return func(d *draft) { d.claims[name] = value }
}

// WithoutClaim leaves a claim out.
func WithoutClaim(name string) Option { return func(d *draft) { delete(d.claims, name) } }

// WithHeader sets a field of the header. kid and alg change what the header
// says, not the key that signs.
func WithHeader(name string, value any) Option {
	return func(d *draft) { d.header[name] = value }
}

// SignedBy chooses one of the issuer's keys; an empty kid or alg is any.
func SignedBy(kid, alg string) Option { return func(d *draft) { d.kid, d.alg = kid, alg } }

// mint signs claims, to which it adds iat, exp and what the options say.
func (i *Issuer) mint(claims map[string]any, options []Option) (string, error) {
	now := i.config.Now().Truncate(time.Second)
	d := &draft{header: map[string]any{}, claims: map[string]any{
		"iat": now.Unix(),
		"exp": now.Add(i.config.TokenLifetime).Unix(),
	}}
	maps.Copy(d.claims, claims)
	// The first pass finds the key, whose kid and alg the options of the second may override.
	for _, option := range options {
		option(d)
	}
	k, err := i.keys.current(d.kid, d.alg)
	if d.key != nil {
		k, err = *d.key, nil
	}
	if err != nil {
		return "", err
	}
	d.header = map[string]any{"typ": "JWT", "alg": k.alg, "kid": k.kid}
	for _, option := range options {
		option(d)
	}
	header, err := json.Marshal(d.header)
	if err != nil {
		return "", fmt.Errorf("encoding the header: %w", err)
	}
	payload, err := json.Marshal(d.claims)
	if err != nil {
		return "", fmt.Errorf("encoding the claims: %w", err)
	}
	return k.sign(header, payload)
}

// audienceClaim is a string for one audience and an array for more.
func audienceClaim(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// or returns the first value that is not empty.
func or(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
