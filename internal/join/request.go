package join

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// maxField is the longest value of a field of a request, in bytes; keys and the ID token have limits of their own.
const maxField = 256

// checkRequest checks the request's shape: which fields there are, not what they are worth.
func checkRequest(req *api.JoinRequest) error {
	if field := idTokenIn(req); field != "" {
		return refuse(api.CodeMalformedRequest, "%s has an ID token in it, which belongs into id_token alone; give the value of %s", field, field)
	}
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

// asked is a request whose keys are ones that can be signed.
type asked struct {
	request *api.JoinRequest
	keys    []publicKey // of its credentials, in their order
	// digest is what the uses of an ID token are counted by: of the request if it can be
	// told from others, else of nothing and used once.
	digest string
	// bindable is the request's digest, nil if it cannot be told from others.
	bindable *[provider.DigestBytes]byte
}

// readRequest reads the keys of a request, checks the signatures of CSRs, and makes the
// digest. A JWT is a secret that needs no key to use: without a retry key, a request for one
// is never a retry, and has a digest that is random.
func (s *Service) readRequest(req *api.JoinRequest) (asked, error) {
	a := asked{request: req, keys: make([]publicKey, len(req.Credentials))}
	fingerprints := make([]string, len(req.Credentials))
	for i := range req.Credentials {
		var err error
		if a.keys[i], err = parsePublicKey(&req.Credentials[i]); err != nil {
			return asked{}, err
		}
		fingerprints[i] = a.keys[i].fingerprint
	}
	if req.Repeatable() {
		digest := req.Digest(fingerprints)
		a.digest, a.bindable = digest.String(), (*[provider.DigestBytes]byte)(&digest)
		return a, nil
	}
	var random api.RequestDigest
	if _, err := io.ReadFull(s.Rand, random[:]); err != nil {
		return asked{}, err
	}
	a.digest = random.String()
	return a, nil
}
