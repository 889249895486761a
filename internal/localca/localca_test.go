package localca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/localca"
)

func open(t testing.TB, dir string, o localca.Options) *localca.Authorities {
	t.Helper()
	a, err := localca.Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func get(t testing.TB, a *localca.Authorities, p cert.Purpose) *authority.Authority {
	t.Helper()
	authority, err := a.Authority(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func mustFail(t testing.TB, err error, reasons ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it succeeded, want an error with %q", reasons)
	}
	for _, reason := range reasons {
		if !strings.Contains(err.Error(), reason) {
			t.Errorf("the error is %q, want one with %q", err, reason)
		}
	}
}

func newDir(t testing.TB) string { return filepath.Join(t.TempDir(), "authorities") }

func TestTheFirstStartMakesEveryAuthorityOnce(t *testing.T) {
	dir := newDir(t)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	first := open(t, dir, localca.Options{Now: func() time.Time { return now }})
	second := open(t, dir, localca.Options{Now: func() time.Time { return now.Add(time.Hour) }})
	keys := map[string]cert.Purpose{}
	for _, p := range cert.Purposes() {
		a, b := get(t, first, p), get(t, second, p)
		if a.Purpose != p || !a.Signer.Public().(*ecdsa.PublicKey).Equal(b.Signer.Public()) {
			t.Errorf("%s: the second start has another key", p)
		}
		if len(a.TrustedKeys) != 1 || !a.Signer.Public().(*ecdsa.PublicKey).Equal(a.TrustedKeys[0]) {
			t.Errorf("%s: the signer's key is not the one that is trusted", p)
		}
		line, err := cert.SSHLine(a.Signer.Public(), "")
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := keys[line]; ok {
			t.Errorf("%s and %s have one key", p, other)
		}
		keys[line] = p
		if !p.IsX509() {
			if a.Certificate != nil || a.TrustedCertificates != nil {
				t.Errorf("%s has a certificate", p)
			}
			continue
		}
		if !bytes.Equal(a.Certificate.Raw, b.Certificate.Raw) || len(a.TrustedCertificates) != 1 || a.TrustedCertificates[0] != a.Certificate {
			t.Errorf("%s: the second start has another certificate", p)
		}
		if !a.Certificate.NotAfter.Equal(now.AddDate(10, 0, 0)) {
			t.Errorf("%s ends at %s", p, a.Certificate.NotAfter)
		}
	}
	checkLayout(t, dir)
}

// checkLayout checks names and modes of a complete folder.
func checkLayout(t *testing.T, dir string) {
	t.Helper()
	want := map[string]bool{}
	for _, p := range cert.Purposes() {
		want[string(p)+".key"] = true
		if p.IsX509() {
			want[string(p)+".crt"] = true
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if !want[e.Name()] || info.Mode() != 0o600 {
			t.Errorf("there is %s with mode %s", e.Name(), info.Mode())
		}
		delete(want, e.Name())
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %s: %v", info.Mode(), err)
	}
}

func TestProductsOfLocalAuthoritiesVerify(t *testing.T) {
	a := get(t, open(t, newDir(t), localca.Options{}), cert.X509Database)
	serial, err := cert.NewX509Serial(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// As a join does it, a moment after the first start: valid from a minute before.
	now := time.Now()
	if _, err := cert.SignX509(rand.Reader, a.Certificate, a.Signer, cert.X509Request{
		Key: get(t, open(t, newDir(t), localca.Options{}), cert.JWT).Signer.Public(), Subject: cert.DatabaseSubject("app", ""),
		Serial: serial, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
}

// TestManyProcessesStartAtOnce runs this test binary several times; each prints
// the authorities that it found.
func TestManyProcessesStartAtOnce(t *testing.T) {
	const variable = "GATEPASS_TEST_LOCALCA_DIR"
	if dir := os.Getenv(variable); dir != "" {
		printAuthorities(t, open(t, dir, localca.Options{}))
		return
	}
	for range 3 {
		dir := newDir(t)
		outputs := make([]string, 8)
		var wg sync.WaitGroup
		for i := range outputs {
			wg.Go(func() {
				cmd := exec.Command(os.Args[0], "-test.run=^TestManyProcessesStartAtOnce$")
				cmd.Env = append(os.Environ(), variable+"="+dir)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%v: %s", err, out)
				}
				outputs[i] = strings.Join(authorityLines(string(out)), "\n")
			})
		}
		wg.Wait()
		for _, out := range outputs {
			if out != outputs[0] || len(authorityLines(out)) != len(cert.Purposes()) {
				t.Errorf("processes found different authorities:\n%s\n%s", outputs[0], out)
			}
		}
		checkLayout(t, dir)
	}
}

func printAuthorities(t *testing.T, a *localca.Authorities) {
	for _, p := range cert.Purposes() {
		authority := get(t, a, p)
		fingerprint, err := cert.SSHFingerprint(authority.Signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		if p.IsX509() {
			fingerprint += " " + cert.X509Fingerprint(authority.Certificate)
		}
		os.Stdout.WriteString("authority " + string(p) + " " + fingerprint + "\n")
	}
}

func authorityLines(out string) (lines []string) {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "authority ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestAStartGoesOnWhereACrashLeftOff(t *testing.T) {
	dir := newDir(t)
	before := get(t, open(t, dir, localca.Options{}), cert.X509Database)
	if err := os.Remove(filepath.Join(dir, "x509-database.crt")); err != nil {
		t.Fatal(err)
	}
	_, err := localca.Open(context.Background(), dir, localca.Options{ReadOnly: true})
	mustFail(t, err, "x509-database.crt is missing beside its key", "start the server once")
	if errors.Is(err, fs.ErrNotExist) {
		t.Error("it looks as if there were no authorities")
	}
	after := get(t, open(t, dir, localca.Options{}), cert.X509Database)
	if !before.Signer.Public().(*ecdsa.PublicKey).Equal(after.Signer.Public()) {
		t.Error("the key is another")
	}
	if err := after.Certificate.CheckSignatureFrom(before.Certificate); err != nil {
		t.Error(err)
	}
}

// A command that only reads takes an authority without a key for one that is not there.
func TestReadingAnAuthorityWithoutAKey(t *testing.T) {
	dir := newDir(t)
	open(t, dir, localca.Options{})
	key := filepath.Join(dir, "jwt.key")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir, localca.Options{ReadOnly: true})
	get(t, a, cert.SSHUser)
	if _, err := a.Authority(context.Background(), cert.JWT); !errors.Is(err, authority.ErrNone) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key was made: %v", err)
	}
}

func TestReadingOnlyWritesNothing(t *testing.T) {
	dir := newDir(t)
	_, err := localca.Open(context.Background(), dir, localca.Options{ReadOnly: true})
	mustFail(t, err, "no authorities in "+dir+" yet")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is no fs.ErrNotExist: %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = localca.Open(context.Background(), dir, localca.Options{ReadOnly: true})
	mustFail(t, err, "no authorities in "+dir+" yet")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("there are %v: %v", entries, err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := func(k crypto.PrivateKey) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	change := func(file string, f func([]byte) []byte) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, file)
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, f(text), 0o600)
		}
	}
	chmod := func(file string, mode fs.FileMode) func(string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, file), mode) }
	}
	link := func(file string) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, file)
			return errors.Join(os.Rename(path, path+".moved"), os.Symlink(file+".moved", path))
		}
	}
	copyOver := func(from, to string) func(string) error {
		return func(dir string) error {
			text, err := os.ReadFile(filepath.Join(dir, from))
			return errors.Join(err, os.WriteFile(filepath.Join(dir, to), text, 0o600))
		}
	}
	for _, tt := range []struct {
		name    string
		spoil   func(dir string) error
		reasons []string
	}{
		{"a key that its group may read", chmod("ssh-user.key", 0o640), []string{"ssh-user.key", "mode 0640", "chmod 600"}},
		{"a key that all may read", chmod("jwt.key", 0o604), []string{"jwt.key", "mode 0604", "chmod 600"}},
		{"a certificate that its group may write", chmod("x509-database.crt", 0o664), []string{"x509-database.crt", "chmod 644"}},
		{"a folder that others may enter", chmod("", 0o755), []string{"mode 0755", "chmod 700"}},
		{"a folder that a group may enter", chmod("", 0o710), []string{"mode 0710", "chmod 700"}},
		{"a key that is a link", link("ssh-user.key"), []string{"ssh-user.key is not a regular file"}},
		{"a certificate that is a link", link("x509-identity.crt"), []string{"x509-identity.crt is not a regular file"}},
		{"a key that is a folder", func(dir string) error {
			path := filepath.Join(dir, "ssh-user.key")
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}, []string{"ssh-user.key is not a regular file"}},
		{"a dangling link", func(dir string) error {
			path := filepath.Join(dir, "ssh-user.key")
			return errors.Join(os.Remove(path), os.Symlink("/nonexistent/planted", path))
		}, []string{"ssh-user.key is not a regular file"}},
		{"an empty key", change("ssh-user.key", func([]byte) []byte { return nil }), []string{"ssh-user.key", "cut off", "restore it from a backup"}},
		{"half a key", change("ssh-user.key", func(b []byte) []byte { return b[:len(b)/2] }), []string{"ssh-user.key", "cut off"}},
		{"a key without its last line", change("ssh-user.key", func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("-----END"))] }), []string{"ssh-user.key", "cut off"}},
		{"a key with a line missing", change("ssh-user.key", func(b []byte) []byte {
			lines := bytes.SplitAfter(b, []byte("\n"))
			return bytes.Join(append(lines[:1:1], lines[2:]...), nil)
		}), []string{"ssh-user.key", "cut off"}},
		{"two keys", change("ssh-user.key", func(b []byte) []byte { return append(b, b...) }), []string{"ssh-user.key", "not one PEM block"}},
		{"a key with text before", change("ssh-user.key", func(b []byte) []byte { return append([]byte("# mine\n"), b...) }), []string{"ssh-user.key", "not one PEM block"}},
		{"a huge key", change("ssh-user.key", func([]byte) []byte { return make([]byte, 16<<10+1) }), []string{"ssh-user.key is larger"}},
		{"a P-384 key", change("ssh-user.key", func([]byte) []byte { return key(p384) }), []string{"ssh-user.key", "not ECDSA P-256"}},
		{"half a certificate", change("x509-database.crt", func(b []byte) []byte { return b[:len(b)/2] }), []string{"x509-database.crt", "restore it from a backup"}},
		{"a certificate of another key", copyOver("x509-identity.crt", "x509-database.crt"), []string{"x509-database.crt", "does not belong to the key"}},
		{"the key of another authority", copyOver("x509-identity.key", "x509-database.key"), []string{"x509-database.crt", "does not belong to the key"}},
		{"another authority altogether", func(dir string) error {
			return errors.Join(copyOver("x509-identity.key", "x509-database.key")(dir), copyOver("x509-identity.crt", "x509-database.crt")(dir))
		}, []string{"x509-database.crt", "not of the authority x509-database"}},
		{"one key for users and hosts", copyOver("ssh-user.key", "ssh-host.key"), []string{"authorities ssh-user and ssh-host have the same key"}},
		{"one key for users and JWTs", copyOver("ssh-user.key", "jwt.key"), []string{"authorities ssh-user and jwt have the same key"}},
		{"one key for two authorities of X.509", func(dir string) error {
			// A start makes the certificate that is missing.
			return errors.Join(copyOver("x509-identity.key", "x509-database.key")(dir), os.Remove(filepath.Join(dir, "x509-database.crt")))
		}, []string{"authorities x509-identity and x509-database have the same key"}},
		{"a certificate whose key is lost", func(dir string) error { return os.Remove(filepath.Join(dir, "x509-database.key")) }, []string{"x509-database.key is missing", "restore it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t)
			open(t, dir, localca.Options{})
			if err := tt.spoil(dir); err != nil {
				t.Fatal(err)
			}
			for _, readOnly := range []bool{false, true} {
				_, err := localca.Open(context.Background(), dir, localca.Options{ReadOnly: readOnly})
				mustFail(t, err, tt.reasons...)
				if strings.Contains(err.Error(), "MIG") {
					t.Errorf("the error holds key material: %v", err)
				}
			}
		})
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	dir := newDir(t)
	open(t, dir, localca.Options{})
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Symlink(dir, alias); err != nil {
		t.Fatal(err)
	}
	_, err := localca.Open(context.Background(), alias, localca.Options{})
	mustFail(t, err, alias+" is not a folder")
	_, err = localca.Open(context.Background(), filepath.Join(dir, "ssh-user.key"), localca.Options{})
	mustFail(t, err, "is not a folder")
	_, err = localca.Open(context.Background(), filepath.Join(t.TempDir(), "missing", "authorities"), localca.Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
