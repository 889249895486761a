package authority

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// comments end the lines of SSH authorities that servers trust.
var comments = map[cert.Purpose]string{cert.SSHUser: "gatepass-user-ca", cert.SSHHost: "gatepass-host-ca"}

// Publish returns what servers trust. An authority that this deployment lacks is
// left out. The keys of JWTs are published by themselves: see JWTKeys.
func Publish(ctx context.Context, from Authorities) (*api.Authorities, error) {
	all, err := published(ctx, from)
	if err != nil {
		return nil, err
	}
	return publish(all)
}

// published are the authorities that servers trust by what is published.
func published(ctx context.Context, from Authorities) ([]*Authority, error) {
	return All(ctx, from, append([]cert.Purpose{cert.SSHUser, cert.SSHHost}, cert.X509Purposes()...)...)
}

func publish(all []*Authority) (to *api.Authorities, err error) {
	to = &api.Authorities{SSHUser: []string{}, SSHHost: []string{}, X509: map[string]string{}}
	for _, a := range all {
		switch a.Purpose {
		case cert.SSHUser:
			to.SSHUser, err = a.sshLines()
		case cert.SSHHost:
			to.SSHHost, err = a.sshLines()
		default:
			to.X509[strings.TrimPrefix(string(a.Purpose), x509Prefix)] = a.certificatesPEM()
		}
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", a.Purpose, err)
		}
	}
	return to, nil
}

// Publisher is Publish for one caller that asks often. The zero value is ready for use,
// by any number of goroutines.
type Publisher struct{ last atomic.Pointer[publication] }

// publication is what was made of what servers trust.
type publication struct {
	of   []trust
	made *api.Authorities
}

// trust is what servers trust of an authority. Neither a key nor a certificate changes
// once it was read: another one has another address.
type trust struct {
	purpose      cert.Purpose
	keys         []crypto.PublicKey
	certificates []*x509.Certificate
}

func (t trust) isOf(a *Authority) bool {
	return t.purpose == a.Purpose && slices.Equal(t.keys, a.TrustedKeys) && slices.Equal(t.certificates, a.TrustedCertificates)
}

// Publish is the function of that name. What it returns is made once for the same keys
// and certificates, and not to be changed.
func (p *Publisher) Publish(ctx context.Context, from Authorities) (*api.Authorities, error) {
	all, err := published(ctx, from)
	if err != nil {
		return nil, err
	}
	if last := p.last.Load(); last != nil && slices.EqualFunc(last.of, all, trust.isOf) {
		return last.made, nil
	}
	made, err := publish(all)
	if err != nil {
		return nil, err
	}
	of := make([]trust, len(all))
	for i, a := range all {
		of[i] = trust{a.Purpose, slices.Clone(a.TrustedKeys), slices.Clone(a.TrustedCertificates)}
	}
	p.last.Store(&publication{of, made})
	return made, nil
}

// JWTKeys returns the public keys that verify our JWTs, none if this deployment signs no JWTs.
func JWTKeys(ctx context.Context, from Authorities) (keys []crypto.PublicKey, err error) {
	all, err := All(ctx, from, cert.JWT)
	for _, a := range all {
		keys = a.TrustedKeys
	}
	return keys, err
}

// sshLines are the trusted keys in the authorized_keys format.
func (a *Authority) sshLines() ([]string, error) {
	lines := make([]string, len(a.TrustedKeys))
	for i, key := range a.TrustedKeys {
		var err error
		if lines[i], err = cert.SSHLine(key, comments[a.Purpose]); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// certificatesPEM are the trusted certificates.
func (a *Authority) certificatesPEM() string {
	var b strings.Builder
	for _, c := range a.TrustedCertificates {
		b.WriteString(cert.CertificatePEM(c))
	}
	return b.String()
}
