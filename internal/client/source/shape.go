package source

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// check refuses what cannot be an ID token before it is sent anywhere: a
// compact JWS has three base64url parts (RFC 7515 §3.1). With an audience set,
// the token must have it, since no other is accepted where it goes.
func (f Finder) check(t *Token) error {
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
	if f.Audience == "" || slices.Contains(Audiences(t.claims["aud"]), f.Audience) {
		return nil
	}
	return wrongAudience(t, f.Audience)
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
