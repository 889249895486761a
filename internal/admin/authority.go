package admin

import (
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
)

// Export returns what a server trusts of an authority: authorized_keys lines for
// SSH, PEM certificates for X.509, a JWK set for JWTs. An authority without
// trusted keys is an error, never an empty file that trusts nobody or anybody.
func Export(a *join.Authority) (string, error) {
	switch {
	case a.Purpose == cert.SSHUser || a.Purpose == cert.SSHHost:
		comment := map[cert.Purpose]string{cert.SSHUser: join.UserCAComment, cert.SSHHost: join.HostCAComment}[a.Purpose]
		var b strings.Builder
		for _, key := range a.TrustedKeys {
			line, err := cert.SSHLine(key, comment)
			if err != nil {
				return "", err
			}
			b.WriteString(line + "\n")
		}
		return notEmpty(a, b.String())
	case a.Purpose == cert.JWT:
		set, err := cert.JWKS(a.TrustedKeys)
		if err != nil {
			return "", err
		}
		return notEmpty(a, string(set)+"\n")
	}
	return notEmpty(a, join.CertificatesPEM(a))
}

func notEmpty(a *join.Authority, text string) (string, error) {
	if len(a.TrustedKeys) == 0 && len(a.TrustedCertificates) == 0 {
		return "", fmt.Errorf("authority %s has no trusted key", a.Purpose)
	}
	return text, nil
}

// Fingerprints returns the fingerprints of what servers trust, as ssh-keygen -l
// and openssl x509 -fingerprint -sha256 show them.
func Fingerprints(a *join.Authority) ([]string, error) {
	var prints []string
	for _, c := range a.TrustedCertificates {
		prints = append(prints, cert.X509Fingerprint(c))
	}
	if len(prints) > 0 {
		return prints, nil
	}
	for _, key := range a.TrustedKeys {
		p, err := cert.SSHFingerprint(key)
		if err != nil {
			return nil, err
		}
		prints = append(prints, p)
	}
	return prints, nil
}
