package authority_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// deployment has its authorities by the purpose that they are given for.
type deployment map[cert.Purpose]*authority.Authority

func (g deployment) Authority(_ context.Context, p cert.Purpose) (*authority.Authority, error) {
	if a := g[p]; a != nil {
		return a, nil
	}
	return nil, authority.ErrNone
}

func (deployment) Prepare(context.Context) {}

// signing is an authority with a new key.
func signing(t *testing.T, p cert.Purpose) *authority.Authority {
	t.Helper()
	a := &authority.Authority{Purpose: p}
	if !p.IsX509() {
		a.Add(true, newKey(t), nil)
		return a
	}
	key, c := newAuthority(t, p)
	a.Add(true, key, c)
	return a
}

func TestAllLeavesOutWhatThereIsNot(t *testing.T) {
	g := deployment{cert.JWT: signing(t, cert.JWT), cert.SSHUser: signing(t, cert.SSHUser)}
	all, err := authority.All(t.Context(), g, cert.Purposes()...)
	if err != nil || len(all) != 2 || all[0].Purpose != cert.SSHUser || all[1].Purpose != cert.JWT {
		t.Errorf("got %v, %v", all, err)
	}
}

// A server that trusts what is published for one purpose would take what an authority
// of another signs.
func TestAnAuthorityGivenForAnotherPurposeIsNotPublished(t *testing.T) {
	g := deployment{cert.SSHHost: signing(t, cert.SSHUser)}
	if all, err := authority.Publish(t.Context(), g); err == nil || !strings.Contains(err.Error(), "ssh-user was given for ssh-host") {
		t.Errorf("got %+v, %v", all, err)
	}
}

func TestPublish(t *testing.T) {
	database := signing(t, cert.X509Database)
	key, c := newAuthority(t, cert.X509Database)
	database.Add(false, key, c)
	g := deployment{cert.X509Database: database, cert.SSHHost: signing(t, cert.SSHHost)}
	all, err := authority.Publish(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.SSHUser) != 0 || all.SSHUser == nil || len(all.SSHHost) != 1 || !strings.HasSuffix(all.SSHHost[0], " gatepass-host-ca") {
		t.Errorf("SSH: %q and %q", all.SSHUser, all.SSHHost)
	}
	want := cert.CertificatePEM(database.Certificate) + cert.CertificatePEM(c)
	if len(all.X509) != 1 || all.X509[api.UsageDatabase] != want {
		t.Errorf("X.509: %v", all.X509)
	}
	if keys, err := authority.JWTKeys(t.Context(), g); err != nil || len(keys) > 0 {
		t.Errorf("keys of JWTs: %v, %v", keys, err)
	}
}

func TestSignerOf(t *testing.T) {
	for _, c := range []struct {
		kind, usage string
		want        cert.Purpose
	}{
		{api.TypeSSH, "", cert.SSHUser},
		{api.TypeJWT, "", cert.JWT},
		{api.TypeX509, api.UsageIdentity, cert.X509Identity},
		{api.TypeX509, api.UsageDatabase, cert.X509Database},
		{api.TypeX509, api.UsageApplication, cert.X509Application},
		{api.TypeX509, api.UsageKubernetes, cert.X509Kubernetes},
		{api.TypeX509, "", ""},
		{api.TypeX509, "x509-identity", ""},
		{"", "", ""},
	} {
		if got := authority.SignerOf(c.kind, c.usage); got != c.want {
			t.Errorf("%q %q is signed by %q, want %q", c.kind, c.usage, got, c.want)
		}
	}
}

// What a state says of the keys in use and what Add makes of them agree: the signer is
// first, and the other key signs lists alone.
func TestAdd(t *testing.T) {
	a := signing(t, cert.X509Identity)
	key, c := newAuthority(t, cert.X509Identity)
	a.Add(false, key, c)
	if !a.Certificate.Equal(a.TrustedCertificates[0]) || len(a.TrustedKeys) != 2 || len(a.OtherSigners) != 1 || a.OtherSigners[0] != key {
		t.Errorf("got %+v", a)
	}
	if _, err := authority.Export(&authority.Authority{Purpose: cert.SSHUser}, authority.FormSSH, authority.ExportOptions{}); err == nil {
		t.Error("an authority without a key was exported")
	}
	_, err := authority.Export(a, authority.FormDER, authority.ExportOptions{})
	if wrong, ok := errors.AsType[*authority.ExportError](err); !ok || wrong.Wrong != authority.ExportOneOnly {
		t.Errorf("DER of two certificates: %v", err)
	}
}

// What is published is made once, and anew with every key or certificate that is added,
// replaced or left out.
func TestPublisherMakesNothingTwice(t *testing.T) {
	g := deployment{cert.X509Database: signing(t, cert.X509Database), cert.SSHHost: signing(t, cert.SSHHost), cert.SSHUser: signing(t, cert.SSHUser)}
	var p authority.Publisher
	last := &api.Authorities{}
	made := func(what string, again bool) {
		t.Helper()
		got, err := p.Publish(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		want, err := authority.Publish(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: published %+v, want %+v", what, got, want)
		}
		if same := got == last; same == again {
			t.Errorf("%s: the same as before: %t", what, same)
		}
		last = got
	}
	made("at first", true)
	made("unchanged", false)
	same := *g[cert.SSHUser]
	g[cert.SSHUser] = &same
	made("the same keys, given anew", false)
	g[cert.SSHUser] = signing(t, cert.SSHUser)
	made("another key", true)
	key, c := newAuthority(t, cert.X509Database)
	g[cert.X509Database].Add(false, key, c)
	made("one key more", true)
	g[cert.X509Database] = signing(t, cert.X509Database)
	made("another certificate", true)
	delete(g, cert.SSHHost)
	made("one authority less", true)
	made("unchanged", false)
	g[cert.SSHHost] = signing(t, cert.SSHUser)
	if _, err := p.Publish(t.Context(), g); err == nil {
		t.Error("an authority of another purpose was published")
	}
}
