package cert_test

import (
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// Whatever is accepted is a key of a kind that is signed, and the same key when
// it is written and read again.
func FuzzParseSSHPublicKey(f *testing.F) {
	mustHaveSeeds(f)
	f.Fuzz(func(t *testing.T, line string) {
		key, err := cert.ParseSSHPublicKey(line)
		if err != nil {
			if kind := new(cert.KeyError); errors.Is(err, cert.ErrUnsupportedKey) != errors.As(err, &kind) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
		if !strings.HasPrefix(line, again) {
			t.Fatalf("%q was read as %q", line, again)
		}
		if _, err := cert.ParseSSHPublicKey(again); err != nil {
			t.Fatal(err)
		}
		if _, isCert := key.(*ssh.Certificate); isCert || strings.HasPrefix(key.Type(), "sk-") {
			t.Fatalf("%s was accepted", key.Type())
		}
	})
}

// Whatever is accepted is the key of one request whose signature verifies.
func FuzzParseCSR(f *testing.F) {
	mustHaveSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		key, err := cert.ParseCSR(text)
		if err != nil {
			if key != nil {
				t.Fatal("it returned a key and an error")
			}
			return
		}
		if _, err := x509.MarshalPKIXPublicKey(key); err != nil {
			t.Fatal(err)
		}
		if strings.Count(text, "BEGIN") != 1 || strings.Count(text, "-----END CERTIFICATE REQUEST-----") < 1 {
			t.Fatalf("%q is not one request", text)
		}
		if again, err := cert.ParseCSR(strings.TrimSpace(text)); err != nil || again == nil {
			t.Fatalf("it is refused without space around it: %v", err)
		}
	})
}

// mustHaveSeeds fails when the corpus is not where the target looks for it.
func mustHaveSeeds(f *testing.F) {
	f.Helper()
	seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", f.Name(), "*"))
	if err != nil || len(seeds) == 0 {
		f.Fatalf("there are no seeds in testdata/fuzz/%s: %v", f.Name(), err)
	}
}
