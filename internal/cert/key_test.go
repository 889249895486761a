package cert_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// rsaOf returns a public key of so many bits; nothing needs its private half.
func rsaOf(bits, exponent int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: exponent}
}

func weakRSA(t testing.TB) *rsa.PublicKey { return rsaOf(1024, 65537) }

func sshLine(t testing.TB, key crypto.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(sshKey(t, key))), "\n")
}

// rawLine is a line of a type with fields that are not checked by anyone.
func rawLine(kind string, fields ...any) string {
	blob := ssh.Marshal(struct{ Type string }{kind})
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			blob = append(blob, ssh.Marshal(struct{ F string }{f})...)
		case *big.Int:
			blob = append(blob, ssh.Marshal(struct{ F *big.Int }{f})...)
		}
	}
	return kind + " " + base64.StdEncoding.EncodeToString(blob)
}

func TestSSHPublicKeysThatAreSigned(t *testing.T) {
	for name, key := range map[string]crypto.PublicKey{
		"P-256":    newECDSA(t, elliptic.P256()).Public(),
		"P-384":    newECDSA(t, elliptic.P384()).Public(),
		"Ed25519":  newEd25519(t).Public(),
		"RSA 2048": rsaOf(2048, 65537),
		"RSA 4096": rsaOf(4096, 65537),
	} {
		line := sshLine(t, key)
		for form, text := range map[string]string{
			"alone": line, "with a comment": line + " me@host with spaces", "from a file": line + " me\n", "from Windows": line + "\r\n",
		} {
			t.Run(name+" "+form, func(t *testing.T) {
				got, err := cert.ParseSSHPublicKey(text)
				if err != nil {
					t.Fatal(err)
				}
				if sshLine(t, got.(ssh.CryptoPublicKey).CryptoPublicKey()) != line {
					t.Error("it is another key")
				}
			})
		}
	}
}

func TestSSHPublicKeysThatAreRefused(t *testing.T) {
	good := sshLine(t, newECDSA(t, elliptic.P256()).Public())
	userCert, err := cert.SignSSH(rand.Reader, newECDSA(t, elliptic.P256()), sshRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	kind, blob, _ := strings.Cut(good, " ")
	point := string([]byte{4}) + strings.Repeat("\x01", 64) // not on the curve
	nonCanonical := ssh.Marshal(struct {
		T    string
		E, N []byte
	}{"ssh-rsa", []byte{0, 1, 0, 1}, append([]byte{0}, rsaOf(2048, 65537).N.Bytes()...)})

	for _, tt := range []struct {
		name, line  string
		unsupported bool
		reason      string
	}{
		{"RSA 1024", sshLine(t, weakRSA(t)), true, "RSA of 1024 bits"},
		{"RSA 2047", sshLine(t, rsaOf(2047, 65537)), true, "RSA of 2047 bits"},
		{"RSA 4097", sshLine(t, rsaOf(4097, 65537)), true, "RSA of 4097 bits"},
		{"RSA 8192", sshLine(t, rsaOf(8192, 65537)), true, "RSA of 8192 bits"},
		{"RSA with exponent 3", sshLine(t, rsaOf(2048, 3)), true, "RSA with exponent 3"},
		{"RSA with an even modulus", rawLine("ssh-rsa", big.NewInt(65537), new(big.Int).Lsh(big.NewInt(1), 2047)), true, "no product"},
		{"RSA with a negative modulus", rawLine("ssh-rsa", big.NewInt(65537), new(big.Int).Neg(rsaOf(2048, 3).N)), true, "no product"},
		{"P-521", sshLine(t, newECDSA(t, elliptic.P521()).Public()), true, "ecdsa-sha2-nistp521"},
		{"DSA", rawLine("ssh-dss", big.NewInt(7), big.NewInt(3), big.NewInt(2), big.NewInt(1)), true, "ssh-dss"},
		{"a security key", rawLine("sk-ssh-ed25519@openssh.com", strings.Repeat("a", 32), "ssh:"), true, "sk-ssh-ed25519"},
		{"a security key on P-256", rawLine("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", point, "ssh:"), true, "sk-ecdsa"},
		{"a certificate", userCert, true, "-cert-v01@openssh.com"},
		{"a type of tomorrow", rawLine("ssh-tomorrow@example.com", "x"), true, "ssh-tomorrow"},

		{"nothing", "", false, "not a public key line"},
		{"a type alone", kind, false, "not a public key line"},
		{"options", `command="/bin/sh" ` + good, false, "without options"},
		{"an option of an authority", "cert-authority " + good, false, "without options"},
		{"a comment line before", "# mine\n" + good, false, "more than one line"},
		{"two keys", good + "\n" + good, false, "more than one line"},
		{"an empty line after", good + "\n\n", false, "more than one line"},
		{"a bare carriage return", good + "\rroot", false, "more than one line"},
		{"NUL in the comment", good + " a\x00b", false, "more than one line"},
		{"a space before", " " + good, false, "not a public key line"},
		{"a tab between", kind + "\t" + blob, false, "not a public key line"},
		{"a type that is not the key's", "ssh-ed25519 " + blob, false, "not a public key line"},
		{"no base64", kind + " !!!!", false, "not a public key line"},
		{"base64 cut off", good[:len(good)-3], false, "not a public key line"},
		{"a key cut off", rawLine("ssh-ed25519", "short"), false, "cannot be read"},
		{"trailing bytes", rawLine("ssh-ed25519", strings.Repeat("a", 32), "more"), false, "cannot be read"},
		{"a point that is not on the curve", rawLine("ecdsa-sha2-nistp256", "nistp256", point), false, "cannot be read"},
		{"the curve of another type", rawLine("ecdsa-sha2-nistp256", "nistp384", point), false, "cannot be read"},
		{"RSA with a huge exponent", rawLine("ssh-rsa", new(big.Int).Lsh(big.NewInt(1), 64), rsaOf(2048, 3).N), false, "cannot be read"},
		{"numbers with leading zeros", "ssh-rsa " + base64.StdEncoding.EncodeToString(nonCanonical), false, "canonical"},
		{"a private key", pemText("OPENSSH PRIVATE KEY", []byte("secret")), false, "more than one line"},
		{"a huge line", good + " " + strings.Repeat("a", 8<<10), false, "at most 8192 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := cert.ParseSSHPublicKey(tt.line)
			mustFail(t, err, tt.reason)
			if key != nil {
				t.Error("it returned a key too")
			}
			if errors.Is(err, cert.ErrUnsupportedKey) != tt.unsupported {
				t.Errorf("unsupported is %v: %v", !tt.unsupported, err)
			}
		})
	}
}

func newCSR(t testing.TB, template *x509.CertificateRequest, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pemText("CERTIFICATE REQUEST", der)
}

func TestCSRsThatAreSigned(t *testing.T) {
	for name, key := range map[string]crypto.Signer{
		"P-256": newECDSA(t, elliptic.P256()), "P-384": newECDSA(t, elliptic.P384()),
		"Ed25519": newEd25519(t), "RSA 2048": newRSA(t, 2048),
	} {
		t.Run(name, func(t *testing.T) {
			text := newCSR(t, &x509.CertificateRequest{}, key)
			for _, text := range []string{text, strings.TrimSpace(text), "\n " + text + "\n", strings.ReplaceAll(text, "\n", "\r\n")} {
				got, err := cert.ParseCSR(text)
				if err != nil {
					t.Fatal(err)
				}
				if !got.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
					t.Error("it is another key")
				}
			}
		})
	}
}

// A request may ask for anything; what is signed is the key alone.
func TestNothingInACSRButItsKeyIsBelieved(t *testing.T) {
	ca, signer := authority(t, cert.X509Database)
	spiffe, err := url.Parse("spiffe://join.example.com/bot/admin")
	if err != nil {
		t.Fatal(err)
	}
	caTrue := pkix.Extension{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}
	text := newCSR(t, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "postgres", Organization: []string{"system:masters"}},
		DNSNames: []string{"db.example.com"}, EmailAddresses: []string{"root@example.com"}, URIs: []*url.URL{spiffe},
		ExtraExtensions: []pkix.Extension{caTrue},
	}, newECDSA(t, elliptic.P256()))
	r := request(t, cert.X509Database)
	if r.Key, err = cert.ParseCSR(text); err != nil {
		t.Fatal(err)
	}
	c := sign(t, ca, signer, r)
	if c.IsCA || len(c.Extensions) != 4 || c.Subject.String() != "CN=app,OU=orders" {
		t.Errorf("got %s with %d extensions", c.Subject, len(c.Extensions))
	}
}

func TestCSRsThatAreRefused(t *testing.T) {
	key := newECDSA(t, elliptic.P256())
	good := newCSR(t, &x509.CertificateRequest{}, key)
	block, _ := pem.Decode([]byte(good))
	changed := append([]byte{}, block.Bytes...)
	changed[len(changed)-1] ^= 1
	headers := *block
	headers.Headers = map[string]string{"Proc-Type": "4,ENCRYPTED"}
	sha1 := newCSR(t, &x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA1}, key)
	small := newRSA(t, 1024)
	lines := strings.SplitAfter(good, "\n")

	for _, tt := range []struct {
		name, text  string
		unsupported bool
		reason      string
	}{
		{"RSA 1024", newCSR(t, &x509.CertificateRequest{}, small), true, "RSA of 1024 bits"},
		{"RSA 8192", fixture(t, "rsa8192.csr"), true, "RSA of 8192 bits"},
		{"P-224", newCSR(t, &x509.CertificateRequest{}, newECDSA(t, elliptic.P224())), true, "ECDSA P-224"},
		{"P-521", newCSR(t, &x509.CertificateRequest{}, newECDSA(t, elliptic.P521())), true, "ECDSA P-521"},
		{"DSA", fixture(t, "dsa.csr"), true, "DSA"},
		{"Ed448", fixture(t, "ed448.csr"), true, "unknown algorithm"},
		{"secp256k1", fixture(t, "secp256k1.csr"), true, "ECDSA on curve 1.3.132.0.10"},
		{"a curve by its parameters", fixture(t, "explicit.csr"), true, "curve without a name"},

		{"a signature that does not verify", pemText("CERTIFICATE REQUEST", changed), false, "signature does not verify"},
		{"someone else's key", transplant(t, block.Bytes, newECDSA(t, elliptic.P256()).Public()), false, "signature does not verify"},
		{"signed with SHA-1", sha1, false, "sign it with SHA-256"},
		{"nothing", "", false, "does not begin with"},
		{"a certificate", pemText("CERTIFICATE", block.Bytes), false, "does not begin with"},
		{"the old label", pemText("NEW CERTIFICATE REQUEST", block.Bytes), false, "does not begin with"},
		{"text before", "Certificate Request:\n" + good, false, "does not begin with"},
		{"text after", good + "garbage", false, "text after"},
		{"two requests", good + good, false, "more than one PEM block"},
		{"a broken request and a good one", lines[0] + "!\n" + good, false, "more than one PEM block"},
		{"a private key after", good + pemText("PRIVATE KEY", []byte("secret")), false, "more than one PEM block"},
		{"PEM with headers", string(pem.EncodeToMemory(&headers)), false, "has headers"},
		{"PEM without an end", strings.Join(lines[:len(lines)-2], ""), false, "cannot be decoded"},
		{"an empty block", pemText("CERTIFICATE REQUEST", nil), false, "cannot be"},
		{"half a request", pemText("CERTIFICATE REQUEST", block.Bytes[:50]), false, "cannot be read"},
		{"bytes after the request", pemText("CERTIFICATE REQUEST", append(block.Bytes[:len(block.Bytes):len(block.Bytes)], 0)), false, "cannot be read"},
		{"a huge request", pemText("CERTIFICATE REQUEST", make([]byte, 16<<10)), false, "longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cert.ParseCSR(tt.text)
			mustFail(t, err, tt.reason)
			if got != nil {
				t.Error("it returned a key too")
			}
			if errors.Is(err, cert.ErrUnsupportedKey) != tt.unsupported {
				t.Errorf("unsupported is %v: %v", !tt.unsupported, err)
			}
		})
	}
}

// transplant puts another key of the same size into a request, whose signature stays.
func transplant(t *testing.T, der []byte, key crypto.PublicKey) string {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	old, err := csr.PublicKey.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	other, err := key.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return pemText("CERTIFICATE REQUEST", []byte(strings.Replace(string(der), string(old), string(other), 1)))
}

// fixture reads a request that openssl made and Go cannot make; see testdata/README.md.
func fixture(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPublicKeyLines(t *testing.T) {
	key := newECDSA(t, elliptic.P256()).Public()
	line, err := cert.SSHLine(key, "gatepass-user-ca")
	if err != nil || line != sshLine(t, key)+" gatepass-user-ca" {
		t.Errorf("got %q, %v", line, err)
	}
	if line, err = cert.SSHLine(key, ""); err != nil || line != sshLine(t, key) {
		t.Errorf("got %q, %v", line, err)
	}
	if _, err = cert.SSHLine(key, "a\nb"); err == nil {
		t.Error("a comment may have two lines")
	}
	if _, err = cert.SSHLine("no key", ""); err == nil {
		t.Error("text is a key")
	}
	if _, err = cert.SSHFingerprint("no key"); err == nil {
		t.Error("text is a key")
	}
}
