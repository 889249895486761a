package authority

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Published are the names of the keys, as Key.Name gives them, that a service tells
// others to trust. An authority that it does not have is left out.
type Published map[cert.Purpose][]string

// ParsePublished reads a service's answers at api.PathAuthorities and at
// api.PathJWKS, which is empty if the service signs no JWTs.
func ParsePublished(authorities, jwks []byte) (Published, error) {
	var all api.Authorities
	if err := json.Unmarshal(authorities, &all); err != nil {
		return nil, err
	}
	found := Published{}
	for p, lines := range map[cert.Purpose][]string{cert.SSHUser: all.SSHUser, cert.SSHHost: all.SSHHost} {
		for _, line := range lines {
			key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
			if err != nil {
				return nil, fmt.Errorf("a line of %s is not a public key", p)
			}
			found[p] = append(found[p], ssh.FingerprintSHA256(key))
		}
	}
	for usage, list := range all.X509 {
		p := cert.Purpose(x509Prefix + usage)
		for block, rest := pem.Decode([]byte(list)); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("a certificate of %s cannot be read", p)
			}
			found[p] = append(found[p], "CN="+c.Subject.CommonName)
		}
	}
	if len(jwks) == 0 {
		return found, nil
	}
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		found[cert.JWT] = append(found[cert.JWT], "kid "+k.KID)
	}
	return found, nil
}

// UnpublishedError says that the service does not tell others to trust the keys that
// an authority has.
type UnpublishedError struct {
	Purpose cert.Purpose
	Want    []string // their names
	Got     []string
}

func (e *UnpublishedError) Error() string {
	return fmt.Sprintf("authority %s: the service tells others to trust %s, and should tell of %s",
		e.Purpose, strings.Join(e.Got, " and "), strings.Join(e.Want, " and "))
}

// confirm asks the service whether it goes by the keys that authorities have. One
// that cannot be asked is told of, and no error: it may be out of reach from here.
func (r *Rotator) confirm(ctx context.Context, states []Rotated) error {
	if r.Published == nil {
		return nil
	}
	published, err := r.Published(ctx)
	if err != nil {
		r.tell(fmt.Sprintf("the service could not be asked whether it goes by this: %v", err))
		return ctx.Err()
	}
	// An empty answer is that of a service that does not run.
	for _, s := range states {
		var want []string
		for _, k := range s.InUse() {
			name, err := k.Name(s.Purpose)
			if err != nil {
				return err
			}
			want = append(want, name)
		}
		got := published[s.Purpose] // like what is wanted: the one that signs first
		if len(got) > 0 && !slices.Equal(got, want) {
			return &UnpublishedError{s.Purpose, want, got}
		}
	}
	return nil
}
