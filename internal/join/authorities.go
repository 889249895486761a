package join

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Comments of the lines that servers trust.
const (
	UserCAComment = "gatepass-user-ca"
	HostCAComment = "gatepass-host-ca"
)

// usages are the X.509 authorities by the usage that they sign.
var usages = map[string]cert.Purpose{
	api.UsageIdentity:    cert.X509Identity,
	api.UsageDatabase:    cert.X509Database,
	api.UsageApplication: cert.X509Application,
	api.UsageKubernetes:  cert.X509Kubernetes,
}

// PublicAuthorities returns what servers trust. An authority that this
// deployment lacks is left out.
func (s *Service) PublicAuthorities(ctx context.Context) (*api.Authorities, error) {
	s.prepareAuthorities(ctx)
	return s.publicAuthorities(ctx)
}

func (s *Service) prepareAuthorities(ctx context.Context) {
	if p, ok := s.Authorities.(Preparer); ok {
		p.Prepare(ctx)
	}
}

func (s *Service) publicAuthorities(ctx context.Context) (*api.Authorities, error) {
	user, err := s.sshLines(ctx, cert.SSHUser, UserCAComment)
	if err != nil {
		return nil, err
	}
	host, err := s.sshLines(ctx, cert.SSHHost, HostCAComment)
	if err != nil {
		return nil, err
	}
	all := &api.Authorities{SSHUser: user, SSHHost: host, X509: map[string]string{}}
	for usage, p := range usages {
		authority, err := s.Authorities.Authority(ctx, p)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", p, err)
		}
		all.X509[usage] = CertificatesPEM(authority)
	}
	return all, nil
}

func (s *Service) sshLines(ctx context.Context, p cert.Purpose, comment string) ([]string, error) {
	authority, err := s.Authorities.Authority(ctx, p)
	if errors.Is(err, store.ErrNotFound) {
		return []string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", p, err)
	}
	lines := make([]string, len(authority.TrustedKeys))
	for i, key := range authority.TrustedKeys {
		if lines[i], err = cert.SSHLine(key, comment); err != nil {
			return nil, fmt.Errorf("authority %s: %w", p, err)
		}
	}
	return lines, nil
}

// CertificatesPEM returns the certificates of an X.509 authority that servers trust.
func CertificatesPEM(a *Authority) string {
	var b strings.Builder
	for _, c := range a.TrustedCertificates {
		b.WriteString(cert.CertificatePEM(c))
	}
	return b.String()
}

// JWTKeys returns the public keys that verify our JWTs, none if this deployment signs no JWTs.
func (s *Service) JWTKeys(ctx context.Context) ([]crypto.PublicKey, error) {
	s.prepareAuthorities(ctx)
	authority, err := s.Authorities.Authority(ctx, cert.JWT)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", cert.JWT, err)
	}
	return authority.TrustedKeys, nil
}

// AuthorityOf is the authority that signed a credential of a record.
func AuthorityOf(c store.RecordCredential) cert.Purpose { return authorityOf(c.Type, c.Usage) }
