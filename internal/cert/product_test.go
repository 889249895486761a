package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A product that differs from what was asked in any one thing must not leave.
// No signer can bring that about, only a fault in the code that encodes; so
// these tests hand good products of another request to the check.

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func differs(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), what+" differs") {
		t.Errorf("the error is %v, want that %s differs", err, what)
	}
}

func TestSSHProductsAreComparedWithWhatWasAsked(t *testing.T) {
	key, ca := newKey(t), newKey(t)
	public := func(k *ecdsa.PrivateKey) ssh.PublicKey {
		p, err := ssh.NewPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	asked := SSHRequest{
		Key: public(key), KeyID: "id", Principals: []string{"deploy", "release"}, Serial: 1,
		Extensions: map[string]string{"permit-pty": ""}, CriticalOptions: map[string]string{"force-command": "true"},
		ValidAfter: time.Unix(1000, 0), ValidBefore: time.Unix(2000, 0),
	}
	line, err := SignSSH(rand.Reader, ca, asked)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*SSHRequest){
		"the type":              func(r *SSHRequest) { r.Host = true },
		"the public key":        func(r *SSHRequest) { r.Key = public(ca) },
		"the key id":            func(r *SSHRequest) { r.KeyID = "other" },
		"the serial":            func(r *SSHRequest) { r.Serial = 2 },
		"the principals":        func(r *SSHRequest) { r.Principals = []string{"release", "deploy"} },
		"the start of validity": func(r *SSHRequest) { r.ValidAfter = time.Unix(999, 0) },
		"the end of validity":   func(r *SSHRequest) { r.ValidBefore = time.Unix(1999, 0) },
		"the critical options":  func(r *SSHRequest) { r.CriticalOptions = nil },
		"the extensions":        func(r *SSHRequest) { r.Extensions = map[string]string{"permit-pty": "x"} },
	} {
		r := asked
		change(&r)
		differs(t, r.checkProduct(line, public(ca)), what)
	}
	differs(t, asked.checkProduct(line, public(key)), "the authority")
	differs(t, asked.checkProduct(line+" comment", public(ca)), "its line")
	if asked.checkProduct("", public(ca)) == nil {
		t.Error("nothing is a certificate")
	}
}

func TestX509ProductsAreComparedWithWhatWasAsked(t *testing.T) {
	key, now := newKey(t), time.Unix(1_700_000_000, 0)
	ca, err := NewX509Authority(rand.Reader, key, X509Identity, now)
	if err != nil {
		t.Fatal(err)
	}
	var r X509Request
	r.Subject, r.URI = IdentitySubject("example", "example.com")
	r.Key, r.Serial, r.NotBefore, r.NotAfter = newKey(t).Public(), big.NewInt(7), now, now.Add(time.Minute)
	subject, err := r.Subject.encode()
	if err != nil {
		t.Fatal(err)
	}
	asked := x509.Certificate{
		RawSubject: subject, SerialNumber: r.Serial, NotBefore: r.NotBefore, NotAfter: r.NotAfter, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{r.URI},
	}
	made := func(change func(c, parent *x509.Certificate)) error {
		c, parent := asked, *ca
		change(&c, &parent)
		der, err := x509.CreateCertificate(rand.Reader, &c, &parent, r.Key, key)
		if err != nil {
			t.Fatal(err)
		}
		return checkX509(der, ca, r, &asked)
	}
	if err := made(func(_, _ *x509.Certificate) {}); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(c, parent *x509.Certificate){
		"the serial":  func(c, _ *x509.Certificate) { c.SerialNumber = big.NewInt(8) },
		"the subject": func(c, _ *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "other"} },
		"the issuer": func(_, parent *x509.Certificate) {
			parent.RawSubject, parent.Subject = nil, pkix.Name{CommonName: "other"}
		},
		"the validity":                 func(c, _ *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) },
		"CA:FALSE":                     func(c, _ *x509.Certificate) { c.IsCA = true },
		"the key usage":                func(c, _ *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment },
		"the extended key usage":       func(c, _ *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage[:1:1], x509.ExtKeyUsageServerAuth) },
		"the authority key identifier": func(_, parent *x509.Certificate) { parent.SubjectKeyId = []byte("other") },
		"the URI": func(c, _ *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/bot/other"}}
		},
		"the alternative names": func(c, _ *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} },
		"the extensions": func(c, _ *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
		},
	} {
		differs(t, made(change), what)
	}
	text, err := SignX509(rand.Reader, ca, key, r)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	r.Key = newKey(t).Public()
	differs(t, checkX509(block.Bytes, ca, r, &asked), "the public key")
}

func TestJWTProductsAreComparedWithWhatWasAsked(t *testing.T) {
	s, err := newAuthoritySigner(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": "i", "sub": "s", "aud": "a", "jti": "j", "iat": 1, "exp": 2}
	text, err := SignJWT(rand.Reader, s, claims)
	if err != nil {
		t.Fatal(err)
	}
	kid, err := KeyID(s.public)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkJWT(text, s, kid, claims); err != nil {
		t.Fatal(err)
	}
	differs(t, checkJWT(text, s, "other", claims), "the header")
	claims["sub"] = "other"
	differs(t, checkJWT(text, s, kid, claims), "a claim")
	other, err := newAuthoritySigner(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if checkJWT(text, other, kid, claims) == nil {
		t.Error("it verifies with another key")
	}
}
