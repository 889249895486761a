package credentials

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TypeJWT is the output for relying parties that verify OIDC tokens, such as Vault.
const TypeJWT = "jwt"

const fileJWT = "jwt"

// JWTConfig says whom a token is for.
type JWTConfig struct {
	Path     string
	Roles    []string // narrows the credential; empty means all of the bot's
	Audience string
	Access   destination.Access
}

// JWT is a token that the service signs for one audience.
type JWT struct {
	place
	wish jwtWish
}

var _ Output = (*JWT)(nil)

// NewJWT checks the configuration.
func NewJWT(config JWTConfig) (*JWT, error) {
	if config.Audience == "" {
		return nil, failure.New(failure.Usage, "--jwt-audience is missing").
			Hint("write it like --jwt-audience=https://vault.example.com; the bot's role must grant it in jwt_audiences")
	}
	return &JWT{
		place: place{path: config.Path, access: config.Access},
		wish:  jwtWish{audience: config.Audience, roles: config.Roles},
	}, nil
}

// Type implements Output.
func (*JWT) Type() string { return TypeJWT }

// Names implements Output.
func (*JWT) Names() []string { return []string{fileJWT} }

// Request implements Output. It needs no key: who has the token can use it.
func (o *JWT) Request(prefix string, _ io.Reader) ([]api.CredentialRequest, error) {
	return o.wish.request(prefix), nil
}

// Accept implements Output.
func (o *JWT) Accept(g Granted) (*Result, error) {
	token, err := o.wish.accept(g)
	if err != nil {
		return nil, err
	}
	return &Result{
		Files:   []destination.File{{Name: fileJWT, Data: []byte(token.text)}},
		Subject: token.subject,
		Expires: token.expires,
		Next:    "cat " + ShellQuote(g.Path+"/"+fileJWT),
	}, nil
}

// jwtWish is a token that is asked for.
type jwtWish struct {
	audience string
	roles    []string
	name     string
}

// jwtGranted is a token that was checked.
type jwtGranted struct {
	text    string
	subject string
	expires time.Time
}

func (w *jwtWish) request(prefix string) []api.CredentialRequest {
	w.name = prefix + "jwt"
	return []api.CredentialRequest{{Name: w.name, Type: api.TypeJWT, Audience: w.audience, Roles: w.roles}}
}

// accept checks the token's shape, audience and end. Its signature is for the
// relying party to verify, which knows the service's keys.
func (w *jwtWish) accept(g Granted) (jwtGranted, error) {
	granted, err := find(g.Response, w.name, api.TypeJWT)
	if err != nil {
		return jwtGranted{}, err
	}
	parts := strings.Split(granted.Token, ".")
	if len(parts) != 3 {
		return jwtGranted{}, badAnswer("the JWT does not have three parts")
	}
	for _, part := range parts {
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil || len(raw) == 0 {
			return jwtGranted{}, badAnswer("the JWT is not base64url")
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Subject  string   `json:"sub"`
		Audience audience `json:"aud"`
		Expires  int64    `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return jwtGranted{}, badAnswer("the JWT's claims cannot be read")
	}
	if !slices.Equal(claims.Audience, []string{w.audience}) {
		return jwtGranted{}, badAnswer("the JWT is for another audience")
	}
	expires := sshTime(uint64(max(claims.Expires, 0)))
	return jwtGranted{text: granted.Token, subject: claims.Subject, expires: expires}, checkTime("JWT", expires, g.Now)
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
