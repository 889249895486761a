package admin

import (
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
)

// Fingerprints returns the fingerprints of what servers trust, the signer's first:
// as ssh-keygen -l and openssl x509 -fingerprint -sha256 show them, and of a JWT's
// key its kid (RFC 7638).
func Fingerprints(a *join.Authority) ([]string, error) {
	var prints []string
	for _, c := range a.TrustedCertificates {
		prints = append(prints, cert.X509Fingerprint(c))
	}
	if len(prints) > 0 {
		return prints, nil
	}
	for _, key := range a.TrustedKeys {
		fingerprint := cert.SSHFingerprint
		if a.Purpose == cert.JWT {
			fingerprint = cert.KeyID
		}
		p, err := fingerprint(key)
		if err != nil {
			return nil, err
		}
		prints = append(prints, p)
	}
	return prints, nil
}
