package cert_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// request asks for a certificate that an authority of purpose p signs.
func request(t testing.TB, p cert.Purpose) cert.X509Request {
	r := cert.X509Request{
		Key: newECDSA(t, elliptic.P256()).Public(), Serial: serial(t),
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(15 * time.Minute),
	}
	switch p {
	case cert.X509Identity:
		r.Subject, r.URI = cert.IdentitySubject("example", "join.example.com")
	case cert.X509Database:
		r.Subject = cert.DatabaseSubject("app", "orders")
	case cert.X509Application:
		r.Subject = cert.ApplicationSubject("example", "grafana")
	case cert.X509Kubernetes:
		r.Subject = cert.KubernetesSubject("ci", []string{"deployers", "auditors"})
	}
	return r
}

func x509Purposes() []cert.Purpose {
	return slices.DeleteFunc(cert.Purposes(), func(p cert.Purpose) bool { return !p.IsX509() })
}

func sign(t testing.TB, ca *x509.Certificate, signer crypto.Signer, r cert.X509Request) *x509.Certificate {
	t.Helper()
	text, err := cert.SignX509(rand.Reader, ca, signer, r)
	if err != nil {
		t.Fatal(err)
	}
	return parseCertificate(t, text)
}

func verify(c, ca *x509.Certificate, at time.Time, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestX509CertificatesAreGoodUnderTheirOwnAuthorityOnly(t *testing.T) {
	openssl := tool(t, "openssl")
	authorities, certificates := map[cert.Purpose]*x509.Certificate{}, map[cert.Purpose]*x509.Certificate{}
	for _, p := range x509Purposes() {
		ca, key := authority(t, p)
		authorities[p], certificates[p] = ca, sign(t, ca, key, request(t, p))
	}
	for p, c := range certificates {
		for q, ca := range authorities {
			for _, at := range []time.Time{c.NotBefore, now, c.NotAfter} {
				if err := verify(c, ca, at, x509.ExtKeyUsageClientAuth); (err == nil) != (p == q) {
					t.Errorf("%s under %s at %s: %v", p, q, at, err)
				}
			}
		}
		if err := verify(c, authorities[p], now, x509.ExtKeyUsageServerAuth); err == nil {
			t.Errorf("%s is good for a server", p)
		}
		if err := verify(c, authorities[p], c.NotAfter.Add(time.Second), x509.ExtKeyUsageClientAuth); err == nil {
			t.Errorf("%s is good after its end", p)
		}
		out := run(t, openssl, "verify", "-x509_strict", "-purpose", "sslclient", "-attime", "1772600767",
			"-CAfile", write(t, "ca.pem", cert.CertificatePEM(authorities[p])), write(t, "tls.crt", cert.CertificatePEM(c)))
		mustContain(t, out, ": OK")
	}
}

func TestX509CertificatesHoldNothingButWhatIsDocumented(t *testing.T) {
	openssl := tool(t, "openssl")
	for _, tt := range []struct {
		purpose cert.Purpose
		subject string // as RFC 4514 writes it
		uri     string
	}{
		{cert.X509Identity, "CN=example", "spiffe://join.example.com/bot/example"},
		{cert.X509Database, "CN=app,OU=orders", ""},
		{cert.X509Application, "CN=example,OU=grafana", ""},
		{cert.X509Kubernetes, "CN=ci,O=auditors,O=deployers", ""},
	} {
		t.Run(string(tt.purpose), func(t *testing.T) {
			ca, key := authority(t, tt.purpose)
			r := request(t, tt.purpose)
			if r.Subject.String() != tt.subject || r.Subject.Purpose() != tt.purpose {
				t.Errorf("the subject is %s", r.Subject)
			}
			text, err := cert.SignX509(rand.Reader, ca, key, r)
			if err != nil {
				t.Fatal(err)
			}
			file := write(t, "tls.crt", text)
			if got := run(t, openssl, "x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253"); got != "subject="+tt.subject+"\n" {
				t.Errorf("openssl says %q", got)
			}
			got := run(t, openssl, "x509", "-in", file, "-noout", "-text", "-certopt", "no_sigdump,no_pubkey")
			mustContain(t, got, "Version: 3 (0x2)", "CA:FALSE", "Key Usage: critical\n                Digital Signature\n",
				"Extended Key Usage: \n                TLS Web Client Authentication\n", "X509v3 Authority Key Identifier")
			want := 4
			if tt.uri != "" {
				want = 5
				mustContain(t, got, "X509v3 Subject Alternative Name: \n                URI:"+tt.uri+"\n")
			}
			if n := strings.Count(got, "X509v3 "); n != want+1 { // and the heading
				t.Errorf("there are %d extensions, want %d:\n%s", n-1, want, got)
			}
			c := parseCertificate(t, text)
			if c.SerialNumber.Cmp(r.Serial) != 0 || !c.NotBefore.Equal(r.NotBefore) || !c.NotAfter.Equal(r.NotAfter) {
				t.Errorf("got serial %s, %s to %s", c.SerialNumber, c.NotBefore, c.NotAfter)
			}
			if want := "sha256 Fingerprint=" + cert.X509Fingerprint(c) + "\n"; run(t, openssl, "x509", "-in", file, "-noout", "-fingerprint", "-sha256") != want {
				t.Errorf("openssl has another fingerprint than %s", want)
			}
		})
	}
}

// Kubernetes takes its groups from the values of O (k8s.io/apiserver reads
// Subject.Organization): each is an attribute of its own, in the order given.
func TestKubernetesGroupsAreSeparateAndInOrder(t *testing.T) {
	ca, key := authority(t, cert.X509Kubernetes)
	r := request(t, cert.X509Kubernetes)
	groups := []string{"zebra", "ant", "system:authenticated:x", "team a+b,c=d", "größe"}
	r.Subject = cert.KubernetesSubject("ci", groups)
	c := sign(t, ca, key, r)
	if !slices.Equal(c.Subject.Organization, groups) || c.Subject.CommonName != "ci" {
		t.Errorf("got O %q and CN %q", c.Subject.Organization, c.Subject.CommonName)
	}
	var names []asn1.RawValue
	if _, err := asn1.Unmarshal(c.RawSubject, &names); err != nil || len(names) != len(groups)+1 {
		t.Errorf("there are %d relative names: %v", len(names), err)
	}
	r.Subject = cert.KubernetesSubject("ci", nil)
	if c = sign(t, ca, key, r); len(c.Subject.Organization) != 0 {
		t.Errorf("got O %q", c.Subject.Organization)
	}
}

func TestNamesAreEncodedSoThatServersReadThemBack(t *testing.T) {
	openssl := tool(t, "openssl")
	ca, key := authority(t, cert.X509Database)
	for _, tt := range []struct{ name, kind string }{
		{"app", "PRINTABLESTRING"},
		{"app@example", "UTF8STRING"},
		{"app_1", "UTF8STRING"},
		{"app*", "UTF8STRING"},
		{"a&b", "UTF8STRING"},
		{"größe", "UTF8STRING"},
		{strings.Repeat("ö", 64), "UTF8STRING"},
		{`a",+\<>;=#/CN=root`, "UTF8STRING"},
	} {
		r := request(t, cert.X509Database)
		r.Subject = cert.DatabaseSubject(tt.name, "")
		c := sign(t, ca, key, r)
		if c.Subject.CommonName != tt.name || len(c.Subject.Names) != 1 {
			t.Errorf("%q came back as %q", tt.name, c.Subject.CommonName)
		}
		mustContain(t, run(t, openssl, "asn1parse", "-in", write(t, "c.pem", cert.CertificatePEM(c))), tt.kind)
	}
}

func TestX509RequestsThatAreRefused(t *testing.T) {
	ca, key := authority(t, cert.X509Identity)
	uri := func(s string) func(*cert.X509Request) {
		return func(r *cert.X509Request) {
			var err error
			if r.URI, err = url.Parse(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	subject := func(bot, domain string) func(*cert.X509Request) {
		return func(r *cert.X509Request) { r.Subject, r.URI = cert.IdentitySubject(bot, domain) }
	}
	for _, tt := range []struct {
		name   string
		change func(*cert.X509Request)
		reason string
	}{
		{"a subject for another authority", func(r *cert.X509Request) { r.Subject = cert.DatabaseSubject("postgres", ""); r.URI = nil }, `"x509-database" cannot be signed by "gatepass x509-identity`},
		{"no subject", func(r *cert.X509Request) { r.Subject = cert.Subject{} }, `"" cannot be signed`},
		{"no URI", func(r *cert.X509Request) { r.URI = nil }, "has a URI"},
		{"a web URI", uri("https://join.example.com/bot/example"), "spiffe://TRUST-DOMAIN/bot/NAME"},
		{"a URI of another kind", uri("spiffe://join.example.com/user/example"), "spiffe://TRUST-DOMAIN/bot/NAME"},
		{"a URI with a query", uri("spiffe://join.example.com/bot/example?a=b"), "spiffe://TRUST-DOMAIN/bot/NAME"},
		{"a URI with a user", uri("spiffe://me@join.example.com/bot/example"), "spiffe://TRUST-DOMAIN/bot/NAME"},
		{"a URI with a port", uri("spiffe://join.example.com:443/bot/example"), "trust domain"},
		{"a trust domain in upper case", subject("example", "Join.example.com"), "trust domain"},
		{"no trust domain", subject("example", ""), "trust domain"},
		{"a trust domain with a path", subject("example", "a/bot/b"), "spiffe://"},
		{"a bot with a slash", subject("a/b", "join.example.com"), `bot "a/b"`},
		{"a bot that leaves its folder", subject("..", "join.example.com"), `bot ".."`},
		{"a bot without a name", subject("", "join.example.com"), `bot ""`},
		{"a bot with a long name", subject(strings.Repeat("a", 65), "join.example.com"), "1 to 64"},
		{"no serial", func(r *cert.X509Request) { r.Serial = nil }, "serial"},
		{"serial zero", func(r *cert.X509Request) { r.Serial = new(big.Int) }, "serial"},
		{"a negative serial", func(r *cert.X509Request) { r.Serial = big.NewInt(-1) }, "serial"},
		{"a huge serial", func(r *cert.X509Request) { r.Serial = new(big.Int).Lsh(big.NewInt(1), 128) }, "serial"},
		{"the end before the start", func(r *cert.X509Request) { r.NotAfter = r.NotBefore }, "never valid"},
		{"an end after the authority's", func(r *cert.X509Request) { r.NotAfter = now.AddDate(10, 0, 1) }, "rotate the authority"},
		{"a start before the authority's", func(r *cert.X509Request) { r.NotBefore = now.Add(-2 * time.Hour) }, "rotate the authority"},
		{"no key", func(r *cert.X509Request) { r.Key = nil }, "unsupported key"},
		{"an RSA 1024 key", func(r *cert.X509Request) { r.Key = weakRSA(t) }, "unsupported key: RSA of 1024 bits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, cert.X509Identity)
			tt.change(&r)
			text, err := cert.SignX509(rand.Reader, ca, key, r)
			mustFail(t, err, tt.reason)
			if text != "" {
				t.Errorf("it returned %q", text)
			}
		})
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	ca, key := authority(t, cert.X509Database)
	const limit = "1 to 64 printable characters"
	for _, tt := range []struct {
		name    string
		subject cert.Subject
		reason  string
	}{
		{"an empty user", cert.DatabaseSubject("", "orders"), limit},
		{"a long user", cert.DatabaseSubject(strings.Repeat("a", 65), ""), limit},
		{"a user with NUL", cert.DatabaseSubject("postgres\x00.example", ""), limit},
		{"a user with newline", cert.DatabaseSubject("app\npostgres", ""), limit},
		{"invalid UTF-8", cert.DatabaseSubject("app\xff", ""), limit},
		{"text turned around", cert.DatabaseSubject("app\u202egnp", ""), limit},
		{"a long database", cert.DatabaseSubject("app", strings.Repeat("a", 65)), limit},
		{"the authority's own", cert.DatabaseSubject(ca.Subject.CommonName, ""), "the name of its authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, cert.X509Database)
			r.Subject = tt.subject
			text, err := cert.SignX509(rand.Reader, ca, key, r)
			mustFail(t, err, tt.reason)
			if text != "" {
				t.Errorf("it returned %q", text)
			}
		})
	}
	kubernetes, signer := authority(t, cert.X509Kubernetes)
	for _, groups := range [][]string{{""}, {"a", "b\n"}, make([]string, 257)} {
		r := request(t, cert.X509Kubernetes)
		r.Subject = cert.KubernetesSubject("ci", groups)
		if _, err := cert.SignX509(rand.Reader, kubernetes, signer, r); err == nil {
			t.Errorf("groups %q are signed", groups)
		}
	}
}

func TestFaultySignersMakeNoX509Certificate(t *testing.T) {
	ca, key := authority(t, cert.X509Database)
	for name, s := range liars(t, key) {
		t.Run(name, func(t *testing.T) {
			if text, err := cert.SignX509(rand.Reader, ca, s, request(t, cert.X509Database)); err == nil || text != "" {
				t.Fatalf("it returned %q, %v", text, err)
			}
			if c, err := cert.NewX509Authority(rand.Reader, s, cert.X509Database, now); err == nil && name != "changes its public key" {
				t.Fatalf("it made the authority %v", c.Subject)
			}
		})
	}
	for name, s := range wrongKinds(t) {
		t.Run(name, func(t *testing.T) {
			_, err := cert.SignX509(rand.Reader, ca, s, request(t, cert.X509Database))
			mustFail(t, err, "must be ECDSA P-256")
			_, err = cert.NewX509Authority(rand.Reader, s, cert.X509Database, now)
			mustFail(t, err, "must be ECDSA P-256")
		})
	}
	_, err := cert.SignX509(rand.Reader, ca, newECDSA(t, elliptic.P256()), request(t, cert.X509Database))
	mustFail(t, err, "the signing key is not that of the authority's certificate")
	_, err = cert.SignX509(rand.Reader, nil, key, request(t, cert.X509Database))
	mustFail(t, err, "no certificate of the authority")
}

func TestX509AuthoritiesAreMadeAsDocumented(t *testing.T) {
	openssl := tool(t, "openssl")
	for _, p := range x509Purposes() {
		ca, key := authority(t, p)
		got := run(t, openssl, "x509", "-in", write(t, "ca.pem", cert.CertificatePEM(ca)), "-noout", "-text", "-certopt", "no_sigdump,no_pubkey")
		mustContain(t, got, "Version: 3 (0x2)", "Subject: CN = gatepass "+string(p)+" ", "CA:TRUE, pathlen:0",
			"X509v3 Basic Constraints: critical", "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
			"X509v3 Subject Key Identifier", "Not Before: Mar  4 04:06:07 2026 GMT", "Not After : Mar  4 05:06:07 2036 GMT")
		if err := cert.CheckX509Authority(ca, key.Public(), p); err != nil {
			t.Error(err)
		}
	}
	_, err := cert.NewX509Authority(rand.Reader, newECDSA(t, elliptic.P256()), cert.JWT, now)
	mustFail(t, err, `"jwt" has no certificate`)
}

func TestStoredAuthoritiesThatAreNotOurs(t *testing.T) {
	ca, key := authority(t, cert.X509Database)
	mustFail(t, cert.CheckX509Authority(ca, newECDSA(t, elliptic.P256()).Public(), cert.X509Database), "does not belong to the key")
	mustFail(t, cert.CheckX509Authority(ca, newRSA(t, 2048).Public(), cert.X509Database), "must be ECDSA P-256")
	mustFail(t, cert.CheckX509Authority(ca, key.Public(), cert.X509Identity), "not of the authority x509-identity")

	leaf := sign(t, ca, key, func() cert.X509Request { r := request(t, cert.X509Database); r.Key = key.Public(); return r }())
	mustFail(t, cert.CheckX509Authority(leaf, key.Public(), cert.X509Database), "not of the authority")

	for name, change := range map[string]func(*x509.Certificate){
		"no authority":      func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false },
		"no path length":    func(c *x509.Certificate) { c.MaxPathLenZero, c.MaxPathLen = false, -1 },
		"a longer path":     func(c *x509.Certificate) { c.MaxPathLenZero, c.MaxPathLen = false, 1 },
		"another key usage": func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature },
	} {
		template := *ca
		change(&template)
		der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			mustFail(t, cert.CheckX509Authority(c, key.Public(), cert.X509Database), "not made as one of ours")
		})
	}
	other := newECDSA(t, elliptic.P256())
	template := *ca
	template.PublicKey = other.Public()
	der, err := x509.CreateCertificate(rand.Reader, ca, &template, key.Public(), other)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	mustFail(t, cert.CheckX509Authority(c, key.Public(), cert.X509Database), "not signed by its own key")
}

func TestSerialsAreDrawnAgainAtZero(t *testing.T) {
	source := func(n int) *bytes.Reader {
		return bytes.NewReader(append(make([]byte, n), bytes.Repeat([]byte{0xff}, n)...))
	}
	if n, err := cert.NewSSHSerial(source(8)); err != nil || n != 1<<63-1 {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := cert.NewX509Serial(source(16)); err != nil || n.BitLen() != 128 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := cert.NewSSHSerial(bytes.NewReader(nil)); err == nil {
		t.Error("a serial came of no randomness")
	}
	if _, err := cert.NewX509Serial(bytes.NewReader(make([]byte, 15))); err == nil {
		t.Error("a serial came of too little randomness")
	}
}

func TestCertificatesInPEMAreReadStrictly(t *testing.T) {
	ca, _ := authority(t, cert.X509Database)
	text := cert.CertificatePEM(ca)
	if _, err := cert.ParseCertificatePEM(text); err != nil {
		t.Fatal(err)
	}
	_, err := cert.ParseCertificatePEM(text + text)
	mustFail(t, err, "more than one PEM block")
	_, err = cert.ParseCertificatePEM(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw[:100]})))
	if err == nil {
		t.Error("half a certificate is read")
	}
}
