package authority_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/authority"
)

var at = time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sshKeygen runs ssh-keygen and returns its standard output and whether it succeeded.
func sshKeygen(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ssh-keygen is missing")
		}
		t.Skip("skipped: ssh-keygen is missing")
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && errs.Len() > 0 {
		t.Fatalf("ssh-keygen %v: %v\n%s%s", args, err, &out, &errs)
	}
	return out.String(), err == nil
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate writes a user certificate of a new key.
func certificate(t *testing.T, ca *ecdsa.PrivateKey, serial uint64) string {
	t.Helper()
	signer, err := ssh.NewSignerFromSigner(ca)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	c := &ssh.Certificate{Key: key, Serial: serial, CertType: ssh.UserCert, KeyId: "x", ValidPrincipals: []string{"deploy"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pub", ssh.MarshalAuthorizedKey(c))
}

func krl(t *testing.T, serials ...uint64) string {
	t.Helper()
	return write(t, "revoked.krl", authority.KRL(serials, 7, at))
}

func TestKRLAsSSHKeygenReadsIt(t *testing.T) {
	old, current := newKey(t), newKey(t)
	list := krl(t, 5, 1, math.MaxUint64, 1<<63)
	for name, c := range map[string]struct {
		ca      *ecdsa.PrivateKey
		serial  uint64
		revoked bool
	}{
		"a serial of the list":                      {current, 5, true},
		"the same of the key before a rotation":     {old, 5, true},
		"the smallest serial":                       {current, 1, true},
		"a serial above what is signed":             {current, 1 << 63, true},
		"the largest serial":                        {current, math.MaxUint64, true},
		"a serial that is not in the list":          {current, 6, false},
		"the same of the key before a rotation too": {old, 6, false},
	} {
		t.Run(name, func(t *testing.T) {
			out, fine := sshKeygen(t, "-Q", "-f", list, certificate(t, c.ca, c.serial))
			if fine == c.revoked || strings.Contains(out, "REVOKED") != c.revoked {
				t.Errorf("revoked is %t, and ssh-keygen says %s", c.revoked, out)
			}
		})
	}
}

func TestKRLAsSSHKeygenListsIt(t *testing.T) {
	out, _ := sshKeygen(t, "-Q", "-l", "-f", krl(t, 13, 11))
	for _, want := range []string{"# KRL version 7", "# Wildcard CA\n", "serial: 11\n", "serial: 13\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if strings.Count(out, "serial: ") != 2 {
		t.Errorf("more than two serials in\n%s", out)
	}
}

func TestKRLOfNothing(t *testing.T) {
	if out, fine := sshKeygen(t, "-Q", "-f", krl(t), certificate(t, newKey(t), 5)); !fine {
		t.Errorf("a list of nothing revokes: %s", out)
	}
}

// TestKRLIsWhatSSHKeygenMakes compares with a list that ssh-keygen made of the same.
func TestKRLIsWhatSSHKeygenMakes(t *testing.T) {
	// Serials so far apart that ssh-keygen too lists them one by one.
	serials := []uint64{1 << 20, 1 << 40, 1 << 60}
	var wanted strings.Builder
	for _, s := range serials {
		fmt.Fprintf(&wanted, "serial: %d\n", s)
	}
	made := filepath.Join(t.TempDir(), "made.krl")
	sshKeygen(t, "-q", "-k", "-f", made, "-s", "none", write(t, "serials", []byte(wanted.String())))
	theirs, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	ours := authority.KRL(serials, 7, at)
	// Magic and format; then version and time, which differ; flags, reserved, comment.
	const fixed, header = 12, 12 + 8 + 8 + 8 + 4
	if !bytes.Equal(ours[:fixed], theirs[:fixed]) {
		t.Errorf("it begins with %x, that of ssh-keygen with %x", ours[:fixed], theirs[:fixed])
	}
	sections := func(list []byte) []byte {
		comment := binary.BigEndian.Uint32(list[header:])
		return list[header+4+comment:]
	}
	if !bytes.Equal(sections(ours), sections(theirs)) {
		t.Errorf("the sections are\n%x\nthose of ssh-keygen\n%x", sections(ours), sections(theirs))
	}
}
