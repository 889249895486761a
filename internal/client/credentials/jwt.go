package credentials

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	fileJWT        = "jwt"
	optionAudience = "jwt-audience"
)

func jwt() Kind {
	return Kind{
		Name:    "jwt",
		Short:   "a token for a relying party that verifies OIDC tokens",
		Example: "--jwt-audience https://vault.example.com",
		Options: []Option{{Name: optionAudience, Field: "audience", Help: "whom the token is for, one of the role's jwt_audiences"}},
		output:  newJWT,
	}
}

// newJWT is a token that the service signs for one audience. It needs no key: who has
// the token can use it.
func newJWT(w *Wish, place Place) (*Output, error) {
	audience := w.Text(optionAudience)
	if audience == "" {
		return nil, cli.Misused("--jwt-audience is missing").
			Hint("write it like --jwt-audience=https://vault.example.com; the bot's role must grant it in jwt_audiences")
	}
	return &Output{
		Kind: w.Kind.Name, Place: place,
		asks:  []api.CredentialRequest{askJWT(audience)},
		files: []file{{fileJWT, (*granted).jwt}},
		next:  func(g *granted) string { return "cat " + g.path(fileJWT) },
	}, nil
}

func askJWT(audience string) api.CredentialRequest {
	return api.CredentialRequest{Name: "jwt", Type: api.TypeJWT, Audience: audience}
}

// jwtGranted is a token that was checked.
type jwtGranted struct {
	text    string
	subject string
	expires time.Time
}

// checkJWT checks the token's shape, audience and end. Its signature is for the
// relying party to verify, which knows the service's keys.
func checkJWT(text, wanted string, now time.Time) (jwtGranted, error) {
	var claims struct {
		Subject  string   `json:"sub"`
		Audience audience `json:"aud"`
		Expires  int64    `json:"exp"`
	}
	if err := readClaims(text, &claims); err != nil {
		return jwtGranted{}, BadAnswer("the JWT %v", err)
	}
	if !slices.Equal(claims.Audience, []string{wanted}) {
		return jwtGranted{}, BadAnswer("the JWT is for another audience")
	}
	expires := sshTime(uint64(max(claims.Expires, 0)))
	return jwtGranted{text: text, subject: claims.Subject, expires: expires}, checkTime("JWT", expires, now)
}

// readClaims decodes the claims of a compact JWS (RFC 7515 §3.1), unverified. Its
// error says what is wrong with the token.
func readClaims(token string, claims any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("does not have three parts")
	}
	var payload []byte
	for i, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(raw) == 0 {
			return errors.New("is not base64url")
		}
		if i == 1 {
			payload = raw
		}
	}
	if json.Unmarshal(payload, claims) != nil {
		return errors.New("has claims that cannot be read")
	}
	return nil
}

// audience is a string or an array of strings (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}
