package join

import (
	"context"
	"crypto/sha3"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// draft is a credential ready to be signed: its serial is known beforehand, so
// that the record can be written while it is signed.
type draft struct {
	grant
	sshSerial  uint64
	x509Serial *big.Int
	jti        string
}

// draftAll gives each credential its serial, which follows from the join id of the
// use's first answer and the credential's name: every answer has the same. Why that is
// as good as one drawn at random: docs/decisions/0023-one-set-of-serials.md.
func draftAll(o order) ([]draft, error) {
	drafts := make([]draft, len(o.grants))
	for i, g := range o.grants {
		d, err := draft{grant: g}, error(nil)
		switch g.request.Type {
		case api.TypeSSH:
			d.sshSerial, err = cert.NewSSHSerial(drawn(o.first, g.request.Name))
		case api.TypeX509:
			d.x509Serial, err = cert.NewX509Serial(drawn(o.first, g.request.Name))
		case api.TypeJWT:
			d.jti = fmt.Sprintf("%s-%d", o.first, place(o.grants, g))
		}
		if err != nil {
			return nil, fmt.Errorf("drawing a serial: %w", err)
		}
		drafts[i] = d
	}
	return drafts, nil
}

// drawn is an endless stream of bytes (cSHAKE256, NIST SP 800-185) of a credential of a
// join. The 80 random bits of the join id are its randomness.
func drawn(joinID, name string) io.Reader {
	stream := sha3.NewCSHAKE256(nil, []byte("gatepass serial"))
	stream.Write([]byte(joinID + "/" + name)) // it never fails, and a join id has no slash
	return stream
}

// place is how many credentials come before g by name: a retry may have them in another order.
func place(all []grant, g grant) (n int) {
	for _, other := range all {
		if other.request.Name < g.request.Name {
			n++
		}
	}
	return n
}

// serial is the draft's serial as answers and records show it.
func (d draft) serial() string {
	switch {
	case d.x509Serial != nil:
		return d.x509Serial.Text(16)
	case d.jti != "":
		return d.jti
	}
	return strconv.FormatUint(d.sshSerial, 10)
}

func (d draft) record(notAfter time.Time) store.RecordCredential {
	c := d.request
	subject := map[string]string{
		api.UsageDatabase:    c.DBUser,
		api.UsageApplication: c.App,
		api.UsageKubernetes:  c.KubernetesUser,
	}[c.Usage]
	if c.Type == api.TypeJWT {
		subject = c.Audience
	}
	return store.RecordCredential{
		Name: c.Name, Type: c.Type, Usage: c.Usage, Serial: d.serial(), Subject: subject,
		Principals: d.granted.Principals, Roles: d.granted.Roles, ExpiresAt: notAfter.UTC(),
	}
}

// sign makes all credentials or none. Where the keys are remote each signature is
// a call, so they are made at the same time.
func (s *Service) sign(ctx context.Context, o order, at arrival, drafts []draft) ([]api.Credential, error) {
	products := make([]api.Credential, len(drafts))
	signatures := make([]func(context.Context) error, len(drafts))
	for i, d := range drafts {
		signatures[i] = func(context.Context) (err error) {
			products[i], err = s.signOne(o, at, d)
			return err
		}
	}
	if err := s.all(ctx, signatures...); err != nil {
		return nil, err
	}
	return products, nil
}

func (s *Service) signOne(o order, at arrival, d draft) (p api.Credential, err error) {
	p = api.Credential{Name: d.request.Name, Type: d.request.Type, Serial: d.serial()}
	switch d.request.Type {
	case api.TypeSSH:
		p.Principals = d.granted.Principals
		p.Certificate, err = s.signSSH(o, at, d)
	case api.TypeX509:
		p.Certificate, err = s.signX509(o, at, d)
	case api.TypeJWT:
		p.Token, err = s.signJWT(o, at, d)
	}
	if err != nil {
		return p, fmt.Errorf("signing %s: %w", d.authority.Purpose, err)
	}
	return p, nil
}

func (s *Service) signSSH(o order, at arrival, d draft) (string, error) {
	critical := map[string]string{}
	if d.granted.ForceCommand != "" {
		critical["force-command"] = d.granted.ForceCommand
	}
	if d.granted.PinSourceIP {
		addr := at.addr.Unmap()
		critical["source-address"] = fmt.Sprintf("%s/%d", addr.WithZone(""), addr.BitLen())
	}
	return cert.SignSSH(s.Rand, d.authority.Signer, cert.SSHRequest{
		Key:             d.key.ssh,
		KeyID:           "gatepass:" + o.bot.Name() + ":" + at.joinID,
		Principals:      d.granted.Principals,
		Extensions:      d.granted.Extensions,
		CriticalOptions: critical,
		Serial:          d.sshSerial,
		ValidAfter:      o.from.Add(-backdate),
		ValidBefore:     o.notAfter,
	})
}

func (s *Service) signX509(o order, at arrival, d draft) (string, error) {
	r := cert.X509Request{Key: d.key.x509, Serial: d.x509Serial, NotBefore: o.from.Add(-backdate), NotAfter: o.notAfter}
	c := d.request
	switch c.Usage {
	case api.UsageIdentity:
		r.Subject, r.URI = cert.IdentitySubject(o.bot.Name(), s.TrustDomain)
	case api.UsageDatabase:
		r.Subject = cert.DatabaseSubject(c.DBUser, c.DBName)
	case api.UsageApplication:
		r.Subject = cert.ApplicationSubject(o.bot.Name(), c.App)
	case api.UsageKubernetes:
		r.Subject = cert.KubernetesSubject(c.KubernetesUser, d.granted.KubernetesGroups)
	default:
		return "", fmt.Errorf("no subject for usage %q", c.Usage)
	}
	return cert.SignX509(s.Rand, d.authority.Certificate, d.authority.Signer, r)
}

// registered are the claims of RFC 7519 §4.1, which a JWT of ours has of its own.
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp"}

func (s *Service) signJWT(o order, at arrival, d draft) (string, error) {
	provider := maps.Clone(o.job.Claims)
	maps.DeleteFunc(provider, func(name string, _ any) bool { return slices.Contains(registered, name) })
	claims := map[string]any{
		"iss":      s.PublicURL,
		"sub":      "bot:" + o.bot.Name(),
		"aud":      d.request.Audience,
		"exp":      o.notAfter.Unix(),
		"iat":      o.from.Unix(),
		"jti":      d.jti,
		"gatepass": provider,
	}
	if groups := d.granted.KubernetesGroups; len(groups) > 0 {
		claims["groups"] = groups
	}
	return cert.SignJWT(s.Rand, d.authority.Signer, claims)
}
