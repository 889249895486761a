package kms_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/kms"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// moto is started once for all tests, which make keys of their own.
var moto = sync.OnceValues(func() (*awstest.Moto, error) {
	m, err := awstest.StartMoto()
	started = m
	return m, err
})

var started *awstest.Moto

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.Stop()
	}
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is KMS with a proxy that can fail, a key for each purpose, and where certificates are stored.
type world struct {
	t      *testing.T
	kms    *awstest.Proxy
	client *awskms.Client
	config kms.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	m, err := moto()
	if errors.Is(err, awstest.ErrUnavailable) && os.Getenv("CI") == "" {
		t.Skipf("skipped: %v", err)
	}
	must(t, err)
	w := &world{t: t}
	w.kms, err = awstest.NewProxy(m.URL())
	must(t, err)
	t.Cleanup(w.kms.Close)
	w.client = kms.NewClient(awstest.DynamoDBConfig(w.kms.URL()))
	w.config = kms.Config{Client: w.client, Keys: map[cert.Purpose]string{}, Certificates: &certificates{}}
	for _, p := range cert.Purposes() {
		w.config.Keys[p], err = awstest.NewKey(t.Context(), w.client)
		must(t, err)
	}
	w.kms.Set(nil)
	return w
}

// calls are the operations since the last Set, sorted.
func (w *world) calls() []string {
	var all []string
	for _, r := range w.kms.Requests() {
		all = append(all, r.Operation)
	}
	slices.Sort(all)
	return all
}

func (w *world) key(spec types.KeySpec, usage types.KeyUsageType) string {
	w.t.Helper()
	out, err := w.client.CreateKey(w.t.Context(), &awskms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
	must(w.t, err)
	return aws.ToString(out.KeyMetadata.KeyId)
}

// certificates is a store in memory, in which the first one stands.
type certificates struct {
	mu     sync.Mutex
	stored map[cert.Purpose]string
	puts   int
	down   error
	onPut  func() // before one is stored
}

// under is what a certificate is stored under: the authority, or one of its later keys.
func under(p cert.Purpose, key string) cert.Purpose {
	if key == "" {
		return p
	}
	return p + "/" + cert.Purpose(key)
}

func (c *certificates) Certificate(_ context.Context, p cert.Purpose, key string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return "", c.down
	}
	if pem, ok := c.stored[under(p, key)]; ok {
		return pem, nil
	}
	return "", fmt.Errorf("certificate: %w", store.ErrNotFound)
}

func (c *certificates) PutCertificate(_ context.Context, p cert.Purpose, key, pem string) (string, error) {
	if c.onPut != nil {
		c.onPut()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	if stored, ok := c.stored[under(p, key)]; ok {
		return stored, nil
	}
	if c.stored == nil {
		c.stored = map[cert.Purpose]string{}
	}
	c.stored[under(p, key)] = pem
	return pem, nil
}

func sign(t *testing.T, a *authority.Authority) error {
	t.Helper()
	sum := sha256.Sum256([]byte("message"))
	signature, err := a.Signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err == nil && len(signature) == 0 {
		t.Fatal("an empty signature")
	}
	return err
}

func TestEveryAuthoritySigns(t *testing.T) {
	w := newWorld(t)
	all := kms.New(w.config)
	authorities := map[cert.Purpose]*authority.Authority{}
	for _, p := range cert.Purposes() {
		a, err := all.Authority(t.Context(), p)
		must(t, err)
		if a.Purpose != p || len(a.TrustedKeys) != 1 || (a.Certificate != nil) != p.IsX509() || len(a.TrustedCertificates) > 1 {
			t.Errorf("authority %s: %+v", p, a)
		}
		authorities[p] = a
	}
	// A call for each key, and a signature for each certificate that was made.
	want := slices.Concat(slices.Repeat([]string{"GetPublicKey"}, 7), slices.Repeat([]string{"Sign"}, 4))
	if got := w.calls(); !slices.Equal(got, want) {
		t.Errorf("calls of the first use: %v, want %v", got, want)
	}

	w.kms.Set(nil)
	for _, p := range cert.Purposes() {
		_, err := all.Authority(t.Context(), p)
		must(t, err)
	}
	if got := w.calls(); len(got) != 0 {
		t.Errorf("calls with warm caches: %v", got)
	}

	w.signsSSH(authorities[cert.SSHUser])
	for p, a := range authorities {
		if p.IsX509() {
			w.signsX509(a)
		}
	}
	_, err := cert.SignJWT(rand.Reader, authorities[cert.JWT].Signer, map[string]any{
		"iss": "https://join.example.com", "sub": "bot:example", "aud": "https://vault.example.com", "jti": "1",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	})
	must(t, err)
	for _, r := range w.kms.Requests() {
		if r.Operation != "Sign" || r.Body["MessageType"] != "DIGEST" || r.Body["SigningAlgorithm"] != "ECDSA_SHA_256" {
			t.Errorf("%s %v", r.Operation, r.Body)
		}
	}
}

func (w *world) signsSSH(a *authority.Authority) {
	w.t.Helper()
	subject, err := ssh.NewPublicKey(a.TrustedKeys[0])
	must(w.t, err)
	_, err = cert.SignSSH(rand.Reader, a.Signer, cert.SSHRequest{Key: subject, KeyID: "gatepass:example:1", Principals: []string{"deploy"},
		Serial: 1, ValidAfter: time.Now(), ValidBefore: time.Now().Add(time.Minute)})
	must(w.t, err)
}

func (w *world) signsX509(a *authority.Authority) {
	w.t.Helper()
	serial, err := cert.NewX509Serial(rand.Reader)
	must(w.t, err)
	r := cert.X509Request{Key: a.TrustedKeys[0], Serial: serial, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Minute)}
	switch a.Purpose {
	case cert.X509Identity:
		r.Subject, r.URI = cert.IdentitySubject("example", "example.com")
	case cert.X509Database:
		r.Subject = cert.DatabaseSubject("app", "orders")
	case cert.X509Application:
		r.Subject = cert.ApplicationSubject("example", "grafana")
	case cert.X509Kubernetes:
		r.Subject = cert.KubernetesSubject("ci", []string{"deployers"})
	}
	text, err := cert.SignX509(rand.Reader, a.Certificate, a.Signer, r)
	must(w.t, err)
	leaf, err := cert.ParseCertificatePEM(text)
	must(w.t, err)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	must(w.t, err)
}

// Two processes that both find no certificate end with the same one.
func TestRacingStartsMakeOneCertificate(t *testing.T) {
	w := newWorld(t)
	s := &certificates{}
	var both sync.WaitGroup // each waits until the other has made its own
	both.Add(2)
	s.onPut = func() { both.Done(); both.Wait() }
	w.config.Certificates = s
	w.config.Keys = map[cert.Purpose]string{cert.X509Identity: w.config.Keys[cert.X509Identity]}
	got := make([]*authority.Authority, 2)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = kms.New(w.config).Authority(t.Context(), cert.X509Identity); err != nil {
				t.Errorf("start %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if s.puts != 2 || !got[0].Certificate.Equal(got[1].Certificate) {
		t.Errorf("%d were made, and the two have the same: %t", s.puts, got[0].Certificate.Equal(got[1].Certificate))
	}
	w.kms.Set(nil)
	later, err := kms.New(w.config).Authority(t.Context(), cert.X509Identity)
	must(t, err)
	if !later.Certificate.Equal(got[0].Certificate) || slices.Contains(w.calls(), "Sign") {
		t.Errorf("a later start makes another one: %v", w.calls())
	}
}

func TestNoAuthority(t *testing.T) {
	w := newWorld(t)
	delete(w.config.Keys, cert.JWT)
	w.config.Keys[cert.X509Database] = ""
	all := kms.New(w.config)
	for _, p := range []cert.Purpose{cert.JWT, cert.X509Database, "ssh"} {
		if _, err := all.Authority(t.Context(), p); !errors.Is(err, authority.ErrNone) {
			t.Errorf("%s: %v, want authority.ErrNone", p, err)
		}
	}
	if got := w.calls(); len(got) != 0 {
		t.Errorf("calls %v", got)
	}
}

func TestWrongAuthorities(t *testing.T) {
	other := func(w *world) string { // the certificate of another key
		config := w.config
		config.Certificates = &certificates{}
		config.Keys = maps.Clone(config.Keys)
		config.Keys[cert.X509Identity] = config.Keys[cert.JWT]
		config.Keys[cert.JWT] = ""
		a, err := kms.New(config).Authority(w.t.Context(), cert.X509Identity)
		must(w.t, err)
		return cert.CertificatePEM(a.Certificate)
	}
	tests := []struct {
		name   string
		change func(*world)
		of     cert.Purpose
		says   string
	}{
		{"a certificate of another key", func(w *world) {
			w.config.Certificates = &certificates{stored: map[cert.Purpose]string{cert.X509Identity: other(w)}}
		}, cert.X509Identity, "does not belong to the key"},
		{"a certificate of another purpose", func(w *world) {
			s := &certificates{}
			w.config.Certificates = s
			_, err := kms.New(w.config).Authority(w.t.Context(), cert.X509Database)
			must(w.t, err)
			s.stored[cert.X509Identity] = s.stored[cert.X509Database]
			w.config.Keys[cert.X509Identity], w.config.Keys[cert.X509Database] = w.config.Keys[cert.X509Database], ""
		}, cert.X509Identity, "not of the authority x509-identity"},
		{"a key of another authority", func(w *world) {
			w.config.Keys[cert.X509Identity] = w.config.Keys[cert.X509Database]
		}, cert.X509Identity, "is a key of the authority x509-database too"},
		{"no certificate but text", func(w *world) {
			w.config.Certificates = &certificates{stored: map[cert.Purpose]string{cert.X509Identity: "x"}}
		}, cert.X509Identity, "its stored certificate"},
		{"the store is down", func(w *world) {
			w.config.Certificates = &certificates{down: errors.New("down")}
		}, cert.X509Identity, "its certificate: down"},
		{"a P-384 key", func(w *world) {
			w.config.Keys[cert.SSHUser] = w.key(types.KeySpecEccNistP384, types.KeyUsageTypeSignVerify)
		}, cert.SSHUser, "must be ECC_NIST_P256"},
		{"a secp256k1 key", func(w *world) {
			w.config.Keys[cert.SSHUser] = w.key(types.KeySpecEccSecgP256k1, types.KeyUsageTypeSignVerify)
		}, cert.SSHUser, "must be ECC_NIST_P256"},
		{"an RSA key", func(w *world) {
			w.config.Keys[cert.JWT] = w.key(types.KeySpecRsa2048, types.KeyUsageTypeSignVerify)
		}, cert.JWT, "must be ECC_NIST_P256"},
		{"a key that does not exist", func(w *world) {
			w.config.Keys[cert.JWT] = "11111111-2222-3333-4444-555555555555"
		}, cert.JWT, "NotFoundException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			all := kms.New(w.config)
			_, err := all.Authority(t.Context(), tt.of)
			if err == nil || errors.Is(err, authority.ErrNone) || !strings.Contains(err.Error(), tt.says) ||
				!strings.HasPrefix(err.Error(), "authority "+string(tt.of)) {
				t.Errorf("got %v, want an error of %s that says %q", err, tt.of, tt.says)
			}
			if _, err := all.Authority(t.Context(), cert.SSHHost); err != nil {
				t.Errorf("another authority fails with it: %v", err)
			}
		})
	}
}

// throttled is how KMS refuses what is too much.
var throttled = awstest.Error(http.StatusBadRequest, "ThrottlingException", map[string]any{"message": "Rate exceeded"})

func TestFaults(t *testing.T) {
	t.Run("throttled for a while", func(t *testing.T) {
		w := newWorld(t)
		a, err := kms.New(w.config).Authority(t.Context(), cert.SSHUser)
		must(t, err)
		w.kms.Set(awstest.First(3, throttled))
		must(t, sign(t, a))
		if got := w.calls(); len(got) != 4 {
			t.Errorf("calls %v, want 4", got)
		}
	})
	t.Run("throttled past the deadline", func(t *testing.T) {
		w := newWorld(t)
		all := kms.New(w.config)
		_, err := all.Authority(t.Context(), cert.SSHUser)
		must(t, err)
		w.kms.Set(throttled)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		a, err := all.Authority(ctx, cert.SSHUser)
		must(t, err)
		start := time.Now()
		if err := sign(t, a); err == nil {
			t.Error("it signed")
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %s, past the deadline of 300ms", took)
		}
		w.kms.Set(nil)
		if err := sign(t, a); err == nil {
			t.Error("the signer of a request that has ended signs")
		}
		a, err = all.Authority(t.Context(), cert.SSHUser)
		must(t, err)
		must(t, sign(t, a))
	})
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t)
		all := kms.New(w.config)
		a, err := all.Authority(t.Context(), cert.SSHUser)
		must(t, err)
		w.kms.Set(awstest.Error(http.StatusBadRequest, "AccessDeniedException", map[string]any{"message": "no"}))
		if err := sign(t, a); err == nil || len(w.calls()) != 1 {
			t.Errorf("%v after %v, want an error after one call", err, w.calls())
		}
	})
	t.Run("a first use that fails is made again by the next", func(t *testing.T) {
		w := newWorld(t)
		all := kms.New(w.config)
		disabled := awstest.Error(http.StatusBadRequest, "DisabledException", map[string]any{"message": "no"})
		w.kms.Set(func(r awstest.Request, rw http.ResponseWriter, forward func(http.ResponseWriter)) {
			if r.Body["KeyId"] == w.config.Keys[cert.X509Identity] {
				disabled(r, rw, forward)
			} else {
				forward(rw)
			}
		})
		if _, err := all.Authority(t.Context(), cert.X509Identity); err == nil {
			t.Error("an authority without a public key")
		}
		w.kms.Set(nil)
		_, err := all.Authority(t.Context(), cert.X509Identity)
		must(t, err)
		if got := w.calls(); !slices.Equal(got, []string{"GetPublicKey", "Sign"}) {
			t.Errorf("calls %v, want those of the one that failed", got)
		}
	})
	t.Run("the connection breaks", func(t *testing.T) {
		w := newWorld(t)
		a, err := kms.New(w.config).Authority(t.Context(), cert.SSHUser)
		must(t, err)
		w.kms.Set(awstest.First(2, awstest.CutAfter))
		must(t, sign(t, a))
	})
}

func TestSignsSHA256DigestsOnly(t *testing.T) {
	w := newWorld(t)
	a, err := kms.New(w.config).Authority(t.Context(), cert.SSHUser)
	must(t, err)
	w.kms.Set(nil)
	for name, tt := range map[string]struct {
		digest []byte
		opts   crypto.SignerOpts
	}{
		"another hash":   {make([]byte, 48), crypto.SHA384},
		"a short digest": {make([]byte, 31), crypto.SHA256},
		"a message":      {make([]byte, 33), crypto.Hash(0)},
		"no options":     {make([]byte, 32), nil},
	} {
		if _, err := a.Signer.Sign(rand.Reader, tt.digest, tt.opts); err == nil {
			t.Errorf("%s is signed", name)
		}
	}
	if got := w.calls(); len(got) != 0 {
		t.Errorf("calls %v", got)
	}
}
