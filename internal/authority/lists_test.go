package authority_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

func decodePEM(t *testing.T, text string) []byte {
	t.Helper()
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(rest) > 0 {
		t.Fatalf("not one PEM block: %s", text)
	}
	return block.Bytes
}

// world is the store and the keys of a deployment.
type world struct {
	mu          sync.Mutex
	revocations []store.Revocation
	failure     error
	reads       int
	authorities map[cert.Purpose]*authority.Authority
	now         time.Time
	signatures  atomic.Int32
}

func (w *world) Revocations(context.Context) ([]store.Revocation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	return slices.Clone(w.revocations), w.failure
}

func (w *world) Prepare(context.Context) {}

func (w *world) Authority(_ context.Context, p cert.Purpose) (*authority.Authority, error) {
	a, ok := w.authorities[p]
	if !ok {
		return nil, fmt.Errorf("authority %s: %w", p, authority.ErrNone)
	}
	return a, nil
}

// counting counts what a key signs.
type counting struct {
	*ecdsa.PrivateKey
	n *atomic.Int32
}

func (c counting) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c.n.Add(1)
	return c.PrivateKey.Sign(r, digest, opts)
}

func newWorld(t *testing.T) (*world, *authority.Lists) {
	t.Helper()
	w := &world{authorities: map[cert.Purpose]*authority.Authority{}, now: at}
	for _, p := range []cert.Purpose{cert.X509Database, cert.X509Application} {
		key, c := newAuthority(t, p)
		w.authorities[p] = &authority.Authority{Purpose: p, Signer: counting{key, &w.signatures}, Certificate: c,
			TrustedKeys: []crypto.PublicKey{key.Public()}, TrustedCertificates: []*x509.Certificate{c}}
	}
	return w, authority.NewLists(authority.ListsConfig{Revocations: w, Authorities: w, Now: func() time.Time { return w.now }, Rand: rand.Reader})
}

func (w *world) revoke(p cert.Purpose, serial string, ends time.Time) {
	w.revocations = append(w.revocations, store.Revocation{ID: fmt.Sprintf("%s.%s", p, serial), At: w.now, By: "ada",
		Reason: "secret reason", Certificates: []store.RevokedCertificate{{Authority: p, Serial: serial, ExpiresAt: ends}}})
}

// serialsOf are the serials of the only CRL in text, in hexadecimal.
func serialsOf(t *testing.T, text string) (all []string) {
	t.Helper()
	list, err := x509.ParseRevocationList(decodePEM(t, text))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.RevokedCertificateEntries {
		all = append(all, e.SerialNumber.Text(16))
	}
	return all
}

func mustCRL(t *testing.T, l *authority.Lists, purposes ...cert.Purpose) string {
	t.Helper()
	list, err := l.CRL(t.Context(), purposes...)
	if err != nil {
		t.Fatal(err)
	}
	return string(list.Content)
}

func mustKRL(t *testing.T, l *authority.Lists) []byte {
	t.Helper()
	list, err := l.KRL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.Content
}

func TestListsHaveWhatIsRevokedAndValid(t *testing.T) {
	w, lists := newWorld(t)
	later := at.Add(time.Hour)
	w.revoke(cert.SSHUser, "255", later)
	w.revoke(cert.X509Database, "ff", later)
	w.revoke(cert.X509Database, "ff", later) // revoked twice, listed once
	w.revoke(cert.X509Database, "1", at.Add(-authority.KeepRevoked))
	w.revoke(cert.X509Database, "2", at.Add(-authority.KeepRevoked-time.Second)) // long over
	w.revoke(cert.X509Application, "abc", later)
	if got := serialsOf(t, mustCRL(t, lists, cert.X509Database)); !slices.Equal(got, []string{"1", "ff"}) {
		t.Errorf("the CRL of databases has %q", got)
	}
	if got := serialsOf(t, mustCRL(t, lists, cert.X509Application)); !slices.Equal(got, []string{"abc"}) {
		t.Errorf("the CRL of applications has %q", got)
	}
	out, _ := sshKeygen(t, "-Q", "-l", "-f", write(t, "revoked.krl", mustKRL(t, lists)))
	if strings.Count(out, "serial: ") != 1 || !strings.Contains(out, "serial: 255\n") {
		t.Errorf("the KRL has\n%s", out)
	}
	// What is published says nothing of who and why.
	for _, list := range [][]byte{mustKRL(t, lists), decodePEM(t, mustCRL(t, lists, cert.X509Database))} {
		if bytes.Contains(list, []byte("ada")) || bytes.Contains(list, []byte("secret")) {
			t.Errorf("a list tells who revoked and why: %q", list)
		}
	}
}

func TestListsOfSeveralAuthorities(t *testing.T) {
	w, lists := newWorld(t)
	text := mustCRL(t, lists, cert.X509Identity, cert.X509Database, cert.X509Application)
	issuers := []*x509.Certificate{w.authorities[cert.X509Database].Certificate, w.authorities[cert.X509Application].Certificate}
	if err := authority.CheckCRL(text, issuers, nil, at); err != nil {
		t.Error(err)
	}
	if _, err := lists.CRL(t.Context(), cert.X509Identity); !errors.Is(err, authority.ErrNone) {
		t.Errorf("an authority that the deployment lacks: %v", err)
	}
}

// During a rotation servers want a CRL of the old authority and of the new one.
func TestListsDuringARotation(t *testing.T) {
	w, lists := newWorld(t)
	a := w.authorities[cert.X509Database]
	oldKey, old := newAuthority(t, cert.X509Database)
	a.TrustedCertificates = append(a.TrustedCertificates, old)
	w.revoke(cert.X509Database, "ff", at.Add(time.Hour))

	if err := authority.CheckCRL(mustCRL(t, lists, cert.X509Database), a.TrustedCertificates[:1], nil, at); err != nil {
		t.Errorf("while the old key cannot sign: %v", err)
	}
	a.OtherSigners = []crypto.Signer{newKey(t), oldKey}
	text := mustCRL(t, lists, cert.X509Database)
	if err := authority.CheckCRL(text, a.TrustedCertificates, nil, at); err != nil {
		t.Error(err)
	}
	for _, block := range strings.SplitAfter(text, "-----END X509 CRL-----\n")[:2] {
		if got := serialsOf(t, block); !slices.Equal(got, []string{"ff"}) {
			t.Errorf("one of the CRLs has %q", got)
		}
	}
	a.Signer, a.OtherSigners = newKey(t), nil
	if text, err := lists.CRL(t.Context(), cert.X509Database); err == nil {
		t.Errorf("no key can sign, and the CRL is %q", text.Content)
	}
}

func TestListsAreMadeNoMoreOftenThanNeeded(t *testing.T) {
	w, lists := newWorld(t)
	ask := func() (krl []byte, crl string) { return mustKRL(t, lists), mustCRL(t, lists, cert.X509Database) }
	expect := func(when string, reads int, signatures int32) {
		t.Helper()
		if w.reads != reads || w.signatures.Load() != signatures {
			t.Errorf("%s: %d reads and %d signatures, want %d and %d", when, w.reads, w.signatures.Load(), reads, signatures)
		}
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { ask() })
	}
	wg.Wait()
	expect("fifty at once", 1, 1)
	w.revoke(cert.X509Database, "ff", at.Add(12*time.Hour))
	w.now = at.Add(authority.ListsMaxAge - time.Second)
	ask()
	expect("within the time that is promised", 1, 1)
	w.now = at.Add(authority.ListsMaxAge)
	if _, crl := ask(); !slices.Equal(serialsOf(t, crl), []string{"ff"}) {
		t.Error("what was revoked is not in the list when it is read again")
	}
	expect("after that time", 2, 2)
	w.now = w.now.Add(59 * time.Minute)
	ask()
	expect("nothing has changed", 3, 2)
	w.now = w.now.Add(time.Minute)
	ask()
	expect("the CRL has grown old", 4, 3)
}

// A list that lacks a revocation lets in whom it should keep out.
func TestListsFailClosed(t *testing.T) {
	w, lists := newWorld(t)
	mustKRL(t, lists)
	w.now = at.Add(time.Hour)
	for name, breaks := range map[string]func(){
		"the store fails":            func() { w.failure = errors.New("throttled") },
		"an SSH serial that is none": func() { w.failure = nil; w.revoke(cert.SSHUser, "12x", w.now.Add(time.Hour)) },
		"an SSH serial of zero":      func() { w.failure = nil; w.revoke(cert.SSHUser, "0", w.now.Add(time.Hour)) },
		"more than a list is to have of serials": func() {
			w.failure = nil
			r := store.Revocation{ID: "many"}
			for i := range 2*authority.MaxRevokedSSH + 1 {
				r.Certificates = append(r.Certificates, store.RevokedCertificate{Authority: cert.SSHUser, Serial: fmt.Sprint(i + 1), ExpiresAt: w.now.Add(time.Hour)})
			}
			w.revocations = append(w.revocations, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.revocations = nil
			breaks()
			w.now = w.now.Add(authority.ListsMaxAge)
			if list, err := lists.KRL(t.Context()); !errors.Is(err, authority.ErrRevocations) {
				t.Errorf("got %v, %v; want authority.ErrRevocations", list, err)
			}
		})
	}
	w.failure, w.revocations = nil, nil
	w.now = w.now.Add(authority.ListsMaxAge)
	mustKRL(t, lists)
}

// Who has gone does not wait for who is slow.
func TestListsGiveUpWithTheirCaller(t *testing.T) {
	w, _ := newWorld(t)
	stuck := make(chan struct{})
	lists := authority.NewLists(authority.ListsConfig{Revocations: slow{w, stuck}, Authorities: w, Now: func() time.Time { return at }, Rand: rand.Reader})
	first := make(chan error, 1)
	go func() { _, err := lists.KRL(context.Background()); first <- err }()
	<-stuck
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lists.KRL(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	stuck <- struct{}{}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// slow says when it is asked, and answers when it is told to.
type slow struct {
	*world
	stuck chan struct{}
}

func (s slow) Revocations(ctx context.Context) ([]store.Revocation, error) {
	s.stuck <- struct{}{}
	<-s.stuck
	return s.world.Revocations(ctx)
}

func TestParseSerial(t *testing.T) {
	for _, c := range []struct {
		authority cert.Purpose
		text      string
		want      string // in hexadecimal; empty if it is refused
	}{
		{cert.SSHUser, "255", "ff"},
		{cert.SSHUser, "18446744073709551615", "ffffffffffffffff"},
		{cert.SSHUser, "18446744073709551616", ""},
		{cert.SSHUser, "0", ""},
		{cert.SSHUser, "-1", ""},
		{cert.SSHUser, "ff", ""},
		{cert.SSHUser, "", ""},
		{cert.X509Database, "255", "255"},
		{cert.X509Database, "FF", "ff"},
		{cert.X509Database, "0", ""},
		{cert.X509Database, "-ff", ""},
		{cert.X509Database, strings.Repeat("f", 40), strings.Repeat("f", 40)},
		{cert.X509Database, strings.Repeat("f", 41), ""},
		{cert.X509Database, "fg", ""},
		{cert.JWT, "1", ""},
		{cert.SSHHost, "1", ""},
		{"", "1", ""},
	} {
		t.Run(fmt.Sprintf("%s %q", c.authority, c.text), func(t *testing.T) {
			got, err := authority.ParseSerial(c.authority, c.text)
			if (err == nil) != (c.want != "") || err == nil && got.Text(16) != c.want {
				t.Errorf("got %v, %v; want %q", got, err, c.want)
			}
		})
	}
}

// A list is made once for what was revoked, however many fetch it and however often the
// store is read: the next one has the same bytes and the same tag.
func TestListsAreMadeOnceAChange(t *testing.T) {
	w, lists := newWorld(t)
	w.revoke(cert.SSHUser, "255", at.Add(12*time.Hour))
	w.revoke(cert.X509Database, "ff", at.Add(12*time.Hour))
	ask := func() [2]*authority.List {
		krl, err := lists.KRL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		crl, err := lists.CRL(t.Context(), cert.X509Database, cert.X509Application)
		if err != nil {
			t.Fatal(err)
		}
		return [2]*authority.List{krl, crl}
	}
	last, made := ask(), 1
	expect := func(when string, want int) {
		t.Helper()
		for range 100 {
			if next := ask(); next != last {
				if next[0].Tag == last[0].Tag || next[1].Tag == last[1].Tag {
					t.Errorf("%s: another list has the same tag", when)
				}
				last, made = next, made+1
			}
			w.now = w.now.Add(time.Second)
		}
		if made != want {
			t.Errorf("%s: the lists were made %d times, want %d", when, made, want)
		}
	}
	expect("nothing has changed", 1)
	w.revoke(cert.SSHUser, "256", at.Add(12*time.Hour))
	w.revoke(cert.X509Database, "fe", at.Add(12*time.Hour))
	w.now = w.now.Add(authority.ListsMaxAge)
	expect("two were revoked", 2)
	w.now = w.now.Add(time.Hour)
	expect("an hour later", 3)
	for i, serial := range []string{"257", "fd"} {
		changed := slices.Clone(w.revocations[i].Certificates)
		changed[0].Serial = serial
		w.revocations[i].Certificates = changed
	}
	w.now = w.now.Add(authority.ListsMaxAge)
	expect("a stored revocation was changed", 4)
}
