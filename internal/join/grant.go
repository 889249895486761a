package join

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// grant is one credential that may be signed.
type grant struct {
	request   *api.CredentialRequest
	key       publicKey
	granted   *rules.Grant
	authority *authority.Authority
}

// publicKey is the key that a credential is for, in the form that its type needs.
type publicKey struct {
	ssh         ssh.PublicKey    // of an ssh credential
	x509        crypto.PublicKey // of an x509 credential
	fingerprint string
}

// parsePublicKey reads the key of a credential request and checks a CSR's
// signature: whoever asks has the private key.
func parsePublicKey(c *api.CredentialRequest) (k publicKey, err error) {
	var der []byte
	switch c.Type {
	case api.TypeSSH:
		if k.ssh, err = cert.ParseSSHPublicKey(c.PublicKey); err != nil {
			return k, refuseKey(c, "public_key", err)
		}
		der = k.ssh.Marshal()
	case api.TypeX509:
		if k.x509, err = cert.ParseCSR(c.CSR); err != nil {
			return k, refuseKey(c, "csr", err)
		}
		if der, err = x509.MarshalPKIXPublicKey(k.x509); err != nil {
			return k, refuseKey(c, "csr", err)
		}
	default:
		return k, nil
	}
	k.fingerprint = api.KeyFingerprint(der)
	return k, nil
}

func refuseKey(c *api.CredentialRequest, field string, err error) *Refusal {
	code := api.CodeMalformedRequest
	if errors.Is(err, cert.ErrUnsupportedKey) {
		code = api.CodeUnsupportedKey
	}
	return refuse(code, "%s of credential %q: %s", field, c.Name, err)
}

// checkGrants asks for every credential: one that is not granted refuses them all.
func (s *Service) checkGrants(ctx context.Context, asked asked, bot *rules.Bot, roles []*rules.Role, addr netip.Addr) ([]grant, error) {
	grants := make([]grant, len(asked.keys))
	for i := range grants {
		var err error
		if grants[i], err = s.checkGrant(ctx, &asked.request.Credentials[i], asked.keys[i], bot, roles, addr); err != nil {
			return nil, err
		}
	}
	return grants, nil
}

// checkGrant asks the rules for one credential and finds the authority that signs it.
func (s *Service) checkGrant(ctx context.Context, c *api.CredentialRequest, key publicKey, bot *rules.Bot, roles []*rules.Role, addr netip.Addr) (grant, error) {
	granted, err := bot.Grant(roles, wish(c))
	if err != nil {
		if not, ok := errors.AsType[*rules.NotPermittedError](err); ok {
			return grant{}, refuse(api.CodeNotPermitted, "credential %q: %s", c.Name, not.Message)
		}
		return grant{}, fmt.Errorf("granting %q: %w", c.Name, err)
	}
	if granted.PinSourceIP && !addr.IsValid() {
		return grant{}, refuse(api.CodeNotPermitted,
			"credential %q: its roles pin it to the caller's address, and the service does not see one; ask an administrator to check how the service is reached", c.Name)
	}
	signer, err := s.Authorities.Authority(ctx, purpose(c))
	if errors.Is(err, authority.ErrNone) {
		return grant{}, refuse(api.CodeNotPermitted, "credential %q: this service has no %s authority; ask for another type, or an administrator to add it", c.Name, purpose(c))
	}
	if err != nil {
		return grant{}, signerUnavailable(fmt.Errorf("authority %s: %w", purpose(c), err))
	}
	if signer.Purpose != purpose(c) {
		return grant{}, signerUnavailable(fmt.Errorf("the store gave the authority %s for %s", signer.Purpose, purpose(c)))
	}
	return grant{request: c, key: key, granted: granted, authority: signer}, nil
}
