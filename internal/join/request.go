package join

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// maxField is the longest value of a field of a request, in bytes; keys and the ID token have limits of their own.
const maxField = 256

// checkRequest checks the request's shape: which fields there are, not what they are worth.
func checkRequest(req *api.JoinRequest) error {
	malformed := func(format string, args ...any) error { return refuse(api.CodeMalformedRequest, format, args...) }
	switch {
	case req.Token == "":
		return malformed("token is missing: give the name of a token rule")
	case !printable(req.Token):
		return malformed("token must be at most %d printable characters", maxField)
	case req.IDToken == "":
		return malformed("id_token is missing: give the OIDC token of the job")
	case !optional(req.JoinMethod) || !optional(req.RetryKey):
		return malformed("join_method and retry_key must be at most %d printable characters", maxField)
	case req.TTLSeconds != nil && *req.TTLSeconds < 1:
		return malformed("ttl_seconds must be 1 or more; leave it out for the default")
	case len(req.Credentials) == 0:
		return malformed("credentials is empty: ask for at least one")
	case len(req.Credentials) > api.MaxCredentials:
		return malformed("credentials has %d entries: ask for at most %d in one join", len(req.Credentials), api.MaxCredentials)
	}
	if c := req.Client; c != nil && (!optional(c.Version) || !optional(c.OS) || !optional(c.Arch)) {
		return malformed("client's fields must be at most %d printable characters", maxField)
	}
	names := map[string]bool{}
	for i, c := range req.Credentials {
		if err := checkCredential(c); err != nil {
			return malformed("credentials[%d].%s", i, err)
		}
		if names[c.Name] {
			return malformed("credentials[%d].name: %q is there twice", i, c.Name)
		}
		names[c.Name] = true
		if n := len(req.RetryKey); c.Type == api.TypeJWT && n > 0 && n < minRetryKey {
			return malformed("retry_key must have %d characters or more where a jwt is asked for: who has the ID token and guesses it gets the JWT again", minRetryKey)
		}
	}
	return nil
}

// CheckWish reports why a request for w would be malformed, whatever its key; nil if it
// would not be.
func CheckWish(w rules.Wish) error {
	c := api.CredentialRequest{
		Name: "any", Type: w.Type, Usage: w.Usage, DBUser: w.DBUser, DBName: w.DBName,
		App: w.App, KubernetesUser: w.KubernetesUser, Audience: w.Audience, Roles: w.Roles,
	}
	switch w.Type {
	case api.TypeSSH:
		c.PublicKey = "any"
	case api.TypeX509:
		c.CSR = "any"
	}
	return checkCredential(c)
}

// minRetryKey is the shortest retry key of a request for a JWT. Other credentials
// are of no use without their private keys.
const minRetryKey = 16

// A credentialField is a field of a credential request beside its name and type.
type credentialField struct {
	name  string
	value func(*api.CredentialRequest) string
}

var credentialFields = []credentialField{
	{"usage", func(c *api.CredentialRequest) string { return c.Usage }},
	{"public_key", func(c *api.CredentialRequest) string { return c.PublicKey }},
	{"csr", func(c *api.CredentialRequest) string { return c.CSR }},
	{"db_user", func(c *api.CredentialRequest) string { return c.DBUser }},
	{"db_name", func(c *api.CredentialRequest) string { return c.DBName }},
	{"app", func(c *api.CredentialRequest) string { return c.App }},
	{"kubernetes_user", func(c *api.CredentialRequest) string { return c.KubernetesUser }},
	{"audience", func(c *api.CredentialRequest) string { return c.Audience }},
}

// requiredFields and optionalFields are those of each kind of credential; it may have no other.
var (
	requiredFields = map[string][]string{
		api.TypeSSH:                               {"public_key"},
		api.TypeX509 + "/" + api.UsageIdentity:    {"usage", "csr"},
		api.TypeX509 + "/" + api.UsageDatabase:    {"usage", "csr", "db_user"},
		api.TypeX509 + "/" + api.UsageApplication: {"usage", "csr", "app"},
		api.TypeX509 + "/" + api.UsageKubernetes:  {"usage", "csr", "kubernetes_user"},
		api.TypeJWT:                               {"audience"},
	}
	optionalFields = map[string][]string{
		api.TypeX509 + "/" + api.UsageDatabase: {"db_name"},
	}
)

func checkCredential(c api.CredentialRequest) error {
	if c.Name == "" {
		return errors.New("name is missing")
	}
	if !printable(c.Name) {
		return fmt.Errorf("name must be at most %d printable characters", maxField)
	}
	kind := c.Type
	if c.Type == api.TypeX509 {
		kind += "/" + c.Usage
	}
	required, ok := requiredFields[kind]
	switch {
	case !ok && c.Type == api.TypeX509:
		return errors.New("usage must be identity, database, application or kubernetes")
	case !ok:
		return errors.New("type must be ssh, x509 or jwt")
	}
	for _, f := range credentialFields {
		value := f.value(&c)
		switch {
		case value == "" && slices.Contains(required, f.name):
			return fmt.Errorf("%s is missing", f.name)
		case value != "" && !slices.Contains(required, f.name) && !slices.Contains(optionalFields[kind], f.name):
			return fmt.Errorf("%s has no meaning for %s: leave it out", f.name, strings.Replace(kind, "/", " ", 1))
		case f.name != "public_key" && f.name != "csr" && !optional(value):
			return fmt.Errorf("%s must be at most %d printable characters", f.name, maxField)
		}
	}
	if c.Roles != nil && len(c.Roles) == 0 {
		// Whoever worked out which roles to ask for, and came to none, did not mean all.
		return errors.New("roles is empty: leave it out to ask for all roles")
	}
	if len(c.Roles) > maxRoles {
		return fmt.Errorf("roles has %d entries: name at most %d", len(c.Roles), maxRoles)
	}
	for _, r := range c.Roles {
		if r == "" || !printable(r) {
			return errors.New("roles must be names of roles")
		}
	}
	return nil
}

// maxRoles is how many roles a credential may name.
const maxRoles = 64

func optional(s string) bool { return s == "" || printable(s) }

// printable reports whether s is short and has no control characters, so that
// it can go into a log, a record and a certificate.
func printable(s string) bool {
	return len(s) <= maxField && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// requestDigest tells requests apart: two with the same digest are the same request
// sent twice. The TTL is left out, so that a retry may ask for what remains. A
// JWT is a secret that needs no key to use: without a retry key, a request for
// one is never a retry, and random makes its digest unique.
func requestDigest(req *api.JoinRequest, grants []grant, random io.Reader) (string, error) {
	type entry struct {
		Request api.CredentialRequest
		Key     string
	}
	content := struct {
		Token, RetryKey, Unique string
		Credentials             []entry
	}{Token: req.Token, RetryKey: req.RetryKey}

	for _, g := range grants {
		c := *g.request
		c.PublicKey, c.CSR = "", "" // the key counts, not how it was written
		c.Roles = slices.Sorted(slices.Values(c.Roles))
		content.Credentials = append(content.Credentials, entry{c, g.key.fingerprint})
		if c.Type == api.TypeJWT && req.RetryKey == "" && content.Unique == "" {
			unique := make([]byte, 32)
			if _, err := io.ReadFull(random, unique); err != nil {
				return "", err
			}
			content.Unique = hex.EncodeToString(unique)
		}
	}
	slices.SortFunc(content.Credentials, func(x, y entry) int { return strings.Compare(x.Request.Name, y.Request.Name) })
	encoded, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:]), nil
}
