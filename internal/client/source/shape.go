package source

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// check refuses what cannot be an ID token before it is sent anywhere: a
// compact JWS has three base64url parts (RFC 7515 §3.1). It reads the claims.
func (t *Token) check() error {
	if len(t.value) > api.MaxIDTokenBytes {
		return shapeError(t, "it is longer than 16 KiB")
	}
	parts := strings.Split(t.value, ".")
	if len(parts) != 3 {
		return shapeError(t, "it does not have three parts joined by dots")
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil || part == "" {
			return shapeError(t, "its parts are not base64url")
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&t.claims); err != nil || t.claims == nil || !json.Valid(payload) {
		return shapeError(t, "its second part is not a JSON object")
	}
	return nil
}

// checkReady refuses a token that was there already and that no service would take: one
// without the audience that is set, or one that is bound to another request.
func (t *Token) checkReady(audience string) error {
	if err := t.check(); err != nil {
		return err
	}
	have := Audiences(t.claims["aud"])
	switch {
	case slices.ContainsFunc(have, func(aud string) bool { return strings.Contains(aud, provider.BindingMark) }):
		return cli.Failed("the ID token from %s is bound to another request, which had keys of its own", t.Source).
			Hint("let gatepass mint the ID token: leave out --id-token-file and give --audience").
			Hint("or mint one for the audience of the token rule alone, without %s and what follows it", provider.BindingMark)
	case audience == "" || slices.Contains(have, audience):
		return nil
	}
	return wrongAudience(t, audience)
}

// checkMinted refuses a token that is not for the audience that it was asked for.
func (t *Token) checkMinted(audience string) error {
	if err := t.check(); err != nil || slices.Contains(Audiences(t.claims["aud"]), audience) {
		return err
	}
	base, _, _ := strings.Cut(audience, provider.BindingMark)
	return cli.Failed("the ID token from %s is not for audience %q, which it was asked for", t.Source, audience).
		Hint("run `gatepass doctor`, which shows what the ID token says").
		Hint("or mint one for %q by other means, and give it by --id-token-file", base)
}

// Audiences reads the claim aud, a string or an array of strings (RFC 7519 §4.1.3).
func Audiences(aud any) []string {
	switch v := aud.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

func shapeError(t *Token, why string) error {
	return cli.Failed("what %s holds is not an ID token: %s", t.Source, why).
		Hint("do not edit, quote or mask the token; it is sent as the CI system made it")
}

func wrongAudience(t *Token, audience string) error {
	e := cli.Failed("the ID token from %s is not for audience %q", t.Source, audience)
	e.Hints = AudienceHints(t.Method, audience)
	return e
}

// AudienceHints tells how to set a token's audience in each CI system. An
// empty audience stands for one that only the token rule knows.
func AudienceHints(method, audience string) []string {
	quoted := "AUDIENCE"
	if audience != "" {
		raw, _ := json.Marshal(audience) // a JSON string is a YAML string too
		quoted = string(raw)
	}
	var hints []string
	for _, s := range systems() {
		hint := s.audience(quoted)
		if s.method == method {
			return []string{hint}
		}
		hints = append(hints, hint)
	}
	return hints
}
