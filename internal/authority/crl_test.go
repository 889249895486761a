package authority_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
)

func newAuthority(t *testing.T, p cert.Purpose) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key := newKey(t)
	c, err := cert.NewX509Authority(rand.Reader, key, p, at)
	if err != nil {
		t.Fatal(err)
	}
	return key, c
}

func entries(serials ...int64) (all []authority.Revoked) {
	for _, s := range serials {
		all = append(all, authority.Revoked{Serial: big.NewInt(s), At: at})
	}
	return all
}

func crl(t *testing.T, key *ecdsa.PrivateKey, c *x509.Certificate, serials ...int64) string {
	t.Helper()
	text, err := authority.CRL(rand.Reader, c, key, entries(serials...), big.NewInt(at.UnixMilli()), at)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCheckCRL(t *testing.T) {
	key, issuer := newAuthority(t, cert.X509Database)
	otherKey, other := newAuthority(t, cert.X509Database)
	ours, theirs := crl(t, key, issuer, 5, 6), crl(t, otherKey, other, 7)
	one, both := []*x509.Certificate{issuer}, []*x509.Certificate{issuer, other}
	serial := func(n ...int64) (all []*big.Int) {
		for _, s := range n {
			all = append(all, big.NewInt(s))
		}
		return all
	}
	for name, c := range map[string]struct {
		text    string
		issuers []*x509.Certificate
		serials []*big.Int
		now     time.Time
		want    string // in the error; empty if there is none
	}{
		"as it was made":                    {ours, one, serial(5, 6), at, ""},
		"of two authorities":                {ours + theirs, both, serial(5, 7), at, ""},
		"of nothing":                        {crl(t, key, issuer), one, nil, at, ""},
		"at its last moment":                {ours, one, nil, at.Add(authority.CRLValidity - time.Second), ""},
		"a host whose clock lags":           {ours, one, nil, at.Add(-time.Minute), ""},
		"a serial is missing":               {ours, one, serial(5, 8), at, "it lacks what was revoked: the serial 8"},
		"one authority's is missing":        {ours, both, nil, at, "is missing"},
		"one authority's is there twice":    {ours + ours, both, nil, at, "not signed by an authority that it should be of"},
		"of another authority":              {theirs, one, nil, at, "not signed by an authority that it should be of"},
		"one more than there should be":     {ours + theirs, one, nil, at, "not signed by an authority that it should be of"},
		"over":                              {ours, one, nil, at.Add(authority.CRLValidity), "not for now"},
		"not yet":                           {ours, one, nil, at.Add(-2 * time.Minute), "not for now"},
		"nothing":                           {"", one, nil, at, "is missing"},
		"no PEM":                            {"x", one, nil, at, "it is not CRLs in PEM"},
		"a certificate in place of a CRL":   {cert.CertificatePEM(issuer), one, nil, at, "it is not CRLs in PEM"},
		"text after the CRL":                {ours + "x", one, nil, at, "it is not CRLs in PEM"},
		"a CRL that was changed on its way": {strings.Replace(ours, ours[300:304], flip(ours[300:304]), 1), one, nil, at, "CRL"},
	} {
		t.Run(name, func(t *testing.T) {
			err := authority.CheckCRL(c.text, c.issuers, c.serials, c.now)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if incomplete := errors.Is(err, authority.ErrIncomplete); incomplete != strings.HasPrefix(c.want, "it lacks") {
				t.Errorf("ErrIncomplete: %t", incomplete)
			}
		})
	}
}

// flip changes text in base64 to another.
func flip(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, s)
}

func TestCRLFields(t *testing.T) {
	key, issuer := newAuthority(t, cert.X509Application)
	text := crl(t, key, issuer, 5)
	list, err := x509.ParseRevocationList(decodePEM(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if list.Number.Int64() != at.UnixMilli() || !list.ThisUpdate.Equal(at.Add(-time.Minute)) || !list.NextUpdate.Equal(at.Add(24*time.Hour)) {
		t.Errorf("number %s, from %s until %s", list.Number, list.ThisUpdate, list.NextUpdate)
	}
	if string(list.AuthorityKeyId) != string(issuer.SubjectKeyId) {
		t.Error("it does not name the authority's key")
	}
	if n := len(list.RevokedCertificateEntries); n != 1 || !list.RevokedCertificateEntries[0].RevocationTime.Equal(at) {
		t.Errorf("%d entries, %+v", n, list.RevokedCertificateEntries)
	}
}

func TestCRLByAnotherKey(t *testing.T) {
	_, issuer := newAuthority(t, cert.X509Application)
	if _, err := authority.CRL(rand.Reader, issuer, newKey(t), entries(5), big.NewInt(1), at); err == nil {
		t.Error("a CRL was made that is not signed by its authority")
	}
}
