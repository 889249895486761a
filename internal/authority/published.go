package authority

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// comments end the lines of SSH authorities that servers trust.
var comments = map[cert.Purpose]string{cert.SSHUser: "gatepass-user-ca", cert.SSHHost: "gatepass-host-ca"}

// Publish returns what servers trust. An authority that this deployment lacks is
// left out. The keys of JWTs are published by themselves: see JWTKeys.
func Publish(ctx context.Context, from Authorities) (*api.Authorities, error) {
	all, err := All(ctx, from, append([]cert.Purpose{cert.SSHUser, cert.SSHHost}, cert.X509Purposes()...)...)
	if err != nil {
		return nil, err
	}
	to := &api.Authorities{SSHUser: []string{}, SSHHost: []string{}, X509: map[string]string{}}
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
