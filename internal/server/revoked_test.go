package server_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// revoke revokes all that a join issued, as gatepassctl does.
func (s *service) revoke(joinID string) {
	s.t.Helper()
	var issued authority.Issued
	issued.Add(s.record(joinID), s.clock.Now())
	if len(issued.Revocations) != 1 {
		s.t.Fatalf("the join issued %+v", issued)
	}
	issued.Revocations[0].At, issued.Revocations[0].By = s.clock.Now(), "ada"
	_, err := s.store.Revoke(s.t.Context(), issued.Revocations)
	must(s.t, err)
}

// crls are the serials in CRLs, by the common names of their issuers.
func crls(t *testing.T, text string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for rest := []byte(text); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatalf("not PEM: %s", text)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		must(t, err)
		serials := []string{}
		for _, e := range list.RevokedCertificateEntries {
			serials = append(serials, e.SerialNumber.Text(16))
		}
		all[list.Issuer.CommonName] = serials
	}
	return all
}

func TestRevokedLists(t *testing.T) {
	s := newService(t)
	revoked, kept := s.granted(s.bitbucketRequest()), s.granted(s.bitbucketRequest())
	before := s.do(http.MethodGet, api.PathRevokedKRL, nil)
	s.revoke(revoked.JoinID)
	if a := s.do(http.MethodGet, api.PathRevokedKRL, nil); a.body != before.body {
		t.Error("the list was read again within the time that it is kept for")
	}
	s.clock.advance(authority.ListsMaxAge)

	after := s.do(http.MethodGet, api.PathRevokedKRL, nil)
	if len(after.body) <= len(before.body) || after.header.Get("Cache-Control") != "public, max-age=30" {
		t.Errorf("the KRL has %d bytes, before it had %d; Cache-Control is %q", len(after.body), len(before.body), after.header.Get("Cache-Control"))
	}
	if !listed(t, after.body, revoked) || listed(t, after.body, kept) {
		t.Errorf("the KRL has the revoked certificate: %t, the other: %t", listed(t, after.body, revoked), listed(t, after.body, kept))
	}

	all := crls(t, s.do(http.MethodGet, api.PathRevokedCRL, nil).body)
	if len(all) != 4 {
		t.Errorf("there are CRLs of %v", all)
	}
	for issuer, serials := range all {
		want := []string{}
		if strings.Contains(issuer, string(cert.X509Identity)) {
			want = []string{credential(t, revoked, "tls").Serial}
		}
		if !slices.Equal(serials, want) {
			t.Errorf("the CRL of %s has %q, want %q", issuer, serials, want)
		}
	}
	for path, n := range map[string]int{"/x509-identity.crl": 1, "/x509-database.crl": 0} {
		one := crls(t, s.do(http.MethodGet, api.PathRevoked+path, nil).body)
		for issuer, serials := range one {
			if len(one) != 1 || len(serials) != n || !strings.Contains(issuer, strings.TrimSuffix(path[1:], ".crl")) {
				t.Errorf("%s has %v", path, one)
			}
		}
	}
}

// A host that has the list is told so, and sent nothing, until something is revoked.
func TestRevokedListsThatTheCallerHas(t *testing.T) {
	s := newService(t)
	joined := s.granted(s.bitbucketRequest())
	for _, path := range []string{api.PathRevokedKRL, api.PathRevokedCRL, api.PathRevoked + "/x509-identity.crl"} {
		first := s.do(http.MethodGet, path, nil)
		tag := first.header.Get("ETag")
		if len(tag) < 34 || tag[0] != '"' {
			t.Fatalf("%s has the tag %q", path, tag)
		}
		for _, c := range []struct {
			method, has string
			status      int
		}{
			{http.MethodGet, tag, http.StatusNotModified},
			{http.MethodHead, tag, http.StatusNotModified},
			{http.MethodGet, "W/" + tag, http.StatusNotModified},
			{http.MethodGet, `"another", ` + tag, http.StatusNotModified},
			{http.MethodGet, "*", http.StatusNotModified},
			{http.MethodGet, `"another"`, http.StatusOK},
			{http.MethodGet, strings.Trim(tag, `"`), http.StatusOK},
			{http.MethodHead, `"another"`, http.StatusOK},
			{http.MethodGet, "", http.StatusOK},
		} {
			a := s.do(c.method, path, nil, "If-None-Match", c.has, "Range", "bytes=0-9", "If-Match", `"another"`)
			whole := c.status == http.StatusOK && c.method == http.MethodGet
			if a.status != c.status || a.header.Get("ETag") != tag || a.header.Get("Cache-Control") != "public, max-age=30" || whole != (a.body == first.body) || !whole && a.body != "" {
				t.Errorf("%s %s with %s: %d, %d bytes, %v", c.method, path, c.has, a.status, len(a.body), a.header)
			}
		}
	}
	before := s.do(http.MethodGet, api.PathRevokedKRL, nil)
	s.revoke(joined.JoinID)
	s.clock.advance(authority.ListsMaxAge)
	if a := s.do(http.MethodGet, api.PathRevokedKRL, nil, "If-None-Match", before.header.Get("ETag")); a.status != http.StatusOK || a.body == before.body {
		t.Errorf("after a revocation: %d, %d bytes", a.status, len(a.body))
	}
}

// listed tells whether a KRL has the serial of a join's SSH certificate.
func listed(t *testing.T, krl string, joined *api.JoinResponse) bool {
	t.Helper()
	serial, err := strconv.ParseUint(credential(t, joined, "ssh").Serial, 10, 64)
	must(t, err)
	return strings.Contains(krl, string(binary.BigEndian.AppendUint64(nil, serial)))
}

// What cannot be read is never an empty list, which would let in what is revoked.
func TestRevokedListsFailClosed(t *testing.T) {
	broken := errors.New("secret cause")
	for name, c := range map[string]struct {
		revocations revocationsFunc
		authorities func(authority.Authorities) authority.Authorities
		path        string
		want        api.Code
	}{
		"the KRL, without the store":        {fails(broken), same, api.PathRevokedKRL, api.CodeStoreUnavailable},
		"a CRL, without the store":          {fails(broken), same, api.PathRevokedCRL, api.CodeStoreUnavailable},
		"a CRL, without the authorities":    {none, unreadable(broken), api.PathRevokedCRL, api.CodeSignerUnavailable},
		"a CRL of what the service has not": {none, lacks(cert.X509Database), api.PathRevoked + "/x509-database.crl", api.CodeNotFound},
		"a list that there is not":          {none, same, api.PathRevoked + "/ssh-host.krl", api.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, func(s *service, config *server.Config) {
				config.Revoked = authority.NewLists(authority.ListsConfig{Revocations: c.revocations, Authorities: c.authorities(s.config.Authorities), Now: s.clock.Now, Rand: s.config.Rand})
			})
			a := s.do(http.MethodGet, c.path, nil)
			if a.problem == nil || a.problem.Code != c.want || strings.Contains(a.body, "secret") || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
			if unavailable := c.want != api.CodeNotFound; unavailable != (a.header.Get("Retry-After") != "") || unavailable != strings.Contains(s.log.String(), "secret cause") {
				t.Errorf("Retry-After is %q, and the log\n%s", a.header.Get("Retry-After"), s.log)
			}
		})
	}
}

// A KRL is not signed: hosts get it whatever the keys' store does.
func TestTheKRLNeedsNoKeys(t *testing.T) {
	s := newService(t, func(s *service, config *server.Config) {
		config.Revoked = authority.NewLists(authority.ListsConfig{Revocations: revocationsFunc(none), Authorities: deadAuthorities{errors.New("no key")}, Now: s.clock.Now, Rand: s.config.Rand})
	})
	if a := s.do(http.MethodGet, api.PathRevokedKRL, nil); a.status != http.StatusOK || !strings.HasPrefix(a.body, "SSHKRL\n\x00") {
		t.Errorf("%d %q", a.status, a.body)
	}
}

func TestRevokedListsAreLimited(t *testing.T) {
	s := newService(t, func(_ *service, config *server.Config) {
		config.Limit = func(netip.Addr) (bool, time.Duration) { return false, time.Minute }
	})
	if a := s.do(http.MethodGet, api.PathRevokedKRL, nil); a.problem == nil || a.problem.Code != api.CodeRateLimited {
		t.Errorf("%d %s", a.status, a.body)
	}
}

type revocationsFunc func() ([]store.Revocation, error)

func (f revocationsFunc) Revocations(context.Context) ([]store.Revocation, error) { return f() }

func fails(err error) revocationsFunc {
	return func() ([]store.Revocation, error) { return nil, err }
}

func none() ([]store.Revocation, error) { return nil, nil }

func same(a authority.Authorities) authority.Authorities { return a }

func lacks(p cert.Purpose) func(authority.Authorities) authority.Authorities {
	return func(a authority.Authorities) authority.Authorities { return without{a, p} }
}

func unreadable(err error) func(authority.Authorities) authority.Authorities {
	return func(authority.Authorities) authority.Authorities { return deadAuthorities{err} }
}

type deadAuthorities struct{ err error }

func (deadAuthorities) Prepare(context.Context) {}

func (a deadAuthorities) Authority(context.Context, cert.Purpose) (*authority.Authority, error) {
	return nil, a.err
}
