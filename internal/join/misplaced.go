package join

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// idTokenIn returns the field of a request, beside id_token, that has an ID token or its
// beginning in it; empty if there is none. What stands in these fields is logged and recorded.
func idTokenIn(req *api.JoinRequest) string {
	type field struct{ name, value string }
	fields := []field{{"token", req.Token}, {"join_method", req.JoinMethod}, {"retry_key", req.RetryKey}}
	if c := req.Client; c != nil {
		fields = append(fields, field{"client.version", c.Version}, field{"client.os", c.OS}, field{"client.arch", c.Arch})
	}
	for i, c := range req.Credentials {
		add := func(name, value string) {
			fields = append(fields, field{fmt.Sprintf("credentials[%d].%s", i, name), value})
		}
		add("name", c.Name)
		add("type", c.Type)
		for _, f := range credentialFields {
			add(f.name, f.value(&c))
		}
		for _, role := range c.Roles {
			add("roles", role)
		}
	}
	i := slices.IndexFunc(fields, func(f field) bool { return hasJWT(f.value) })
	if i < 0 {
		return ""
	}
	return fields[i].name
}

// jsonStart is what a JWT begins with, and its claims: {" in base64url (RFC 7515 §7.1).
const jsonStart = "eyJ"

// hasJWT reports whether a part of text, between characters that base64url does not have,
// begins like a JSON object in base64url: the first letters, decoded, are plain text.
func hasJWT(text string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, isNotBase64URL), func(part string) bool {
		const letters = 12
		if !strings.HasPrefix(part, jsonStart) || len(part) < letters {
			return false
		}
		start, err := base64.RawURLEncoding.DecodeString(part[:letters])
		return err == nil && !slices.ContainsFunc(start, func(b byte) bool { return b < ' ' || b > '~' })
	})
}

func isNotBase64URL(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}
