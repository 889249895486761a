package cert_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// now is the moment at which the tests sign.
var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newECDSA(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sshKey(t testing.TB, key crypto.PublicKey) ssh.PublicKey {
	t.Helper()
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func authority(t testing.TB, p cert.Purpose) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := newECDSA(t, elliptic.P256())
	ca, err := cert.NewX509Authority(rand.Reader, key, p, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca, key
}

func parseCertificate(t testing.TB, text string) *x509.Certificate {
	t.Helper()
	c, err := cert.ParseCertificatePEM(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := cert.NewX509Serial(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tool returns the path of a program that must be there in CI.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is missing", name)
	}
	return path
}

func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustContain(t testing.TB, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func mustFail(t testing.TB, err error, reason string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it succeeded, want an error with %q", reason)
	}
	if !strings.Contains(err.Error(), reason) {
		t.Fatalf("the error is %q, want one with %q", err, reason)
	}
}

// lyingSigner is a signing service with a fault.
type lyingSigner struct {
	public func() crypto.PublicKey
	sign   func(digest []byte) ([]byte, error)
}

func (s lyingSigner) Public() crypto.PublicKey { return s.public() }

func (s lyingSigner) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest)
}

// liars are signers that claim to hold key, and the error that tells of them.
func liars(t testing.TB, key *ecdsa.PrivateKey) map[string]lyingSigner {
	other := newECDSA(t, elliptic.P256())
	public := func() crypto.PublicKey { return &key.PublicKey }
	signBy := func(k *ecdsa.PrivateKey) func([]byte) ([]byte, error) {
		return func(digest []byte) ([]byte, error) { return ecdsa.SignASN1(rand.Reader, k, digest) }
	}
	asked := 0
	return map[string]lyingSigner{
		"signs by another key": {public, signBy(other)},
		"signs another digest": {public, func(digest []byte) ([]byte, error) {
			flipped := append([]byte{}, digest...)
			flipped[0] ^= 1
			return signBy(key)(flipped)
		}},
		"signs the digest's digest": {public, func(digest []byte) ([]byte, error) {
			h := crypto.SHA256.New()
			h.Write(digest)
			return signBy(key)(h.Sum(nil))
		}},
		"returns nothing":   {public, func([]byte) ([]byte, error) { return nil, nil }},
		"returns garbage":   {public, func([]byte) ([]byte, error) { return []byte("garbage"), nil }},
		"returns r||s":      {public, func([]byte) ([]byte, error) { return make([]byte, 64), nil }},
		"returns zeros":     {public, func([]byte) ([]byte, error) { return []byte{0x30, 6, 2, 1, 0, 2, 1, 0}, nil }},
		"returns negatives": {public, func([]byte) ([]byte, error) { return []byte{0x30, 6, 2, 1, 0xff, 2, 1, 0xff}, nil }},
		"returns a huge number": {public, func([]byte) ([]byte, error) {
			return append([]byte{0x30, 38, 2, 33, 1}, append(make([]byte, 32), 2, 1, 1)...), nil
		}},
		"returns an error": {public, func([]byte) ([]byte, error) { return nil, errors.New("throttled") }},
		"changes its public key": {func() crypto.PublicKey {
			if asked++; asked == 1 {
				return &key.PublicKey
			}
			return &other.PublicKey
		}, signBy(other)},
	}
}

// wrongKinds are signers whose key cannot be an authority's.
func wrongKinds(t testing.TB) map[string]crypto.Signer {
	return map[string]crypto.Signer{
		"P-384":   newECDSA(t, elliptic.P384()),
		"Ed25519": newEd25519(t),
		"RSA":     newRSA(t, 2048),
		"no key":  lyingSigner{public: func() crypto.PublicKey { return nil }},
	}
}
