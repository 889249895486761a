package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A certificate of an authority that is trusted is not enough: it must be this service's, now,
// and a server's. The ID token is not sent before.
func TestWrongCertificates(t *testing.T) {
	s := newService(t, false)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pemOf(s.x509CA.Raw), 0o600))
	good := func(c *x509.Certificate) {}
	for name, test := range map[string]struct {
		change  func(*x509.Certificate)
		version uint16 // the highest that the server speaks
		status  int
		says    string
	}{
		"the right one":       {good, tls.VersionTLS13, 4, "not from the join service"},
		"of another name":     {func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example.com"} }, tls.VersionTLS13, 4, "does not verify"},
		"of an ugly name":     {func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"a\x1b[31m.example.com"} }, tls.VersionTLS13, 4, "gatepass: error: "},
		"of another address":  {func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, tls.VersionTLS13, 4, "does not verify"},
		"by its common name":  {func(c *x509.Certificate) { c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1" }, tls.VersionTLS13, 4, "does not verify"},
		"expired":             {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }, tls.VersionTLS13, 4, "does not verify"},
		"not valid yet":       {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, tls.VersionTLS13, 4, "does not verify"},
		"a client's":          {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, tls.VersionTLS13, 4, "does not verify"},
		"by an old TLS":       {good, tls.VersionTLS11, 4, "gatepass: error: "},
		"by one that will do": {good, tls.VersionTLS12, 4, "not from the join service"},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			template := &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
			test.change(template)
			der, err := x509.CreateCertificate(rand.Reader, template, s.x509CA, &key.PublicKey, s.caKey)
			must(t, err)
			var asked atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS10, MaxVersion: test.version}
			server.StartTLS()
			defer server.Close()
			env := map[string]string{"BITBUCKET_STEP_OIDC_TOKEN": idToken("x"), "GATEPASS_CA_FILE": ca}
			r := gatepass(t, env, "join", "--server", server.URL, "--token", "t", "--destination", filepath.Join(t.TempDir(), "id"), "--timeout=1s", "--retry=false")
			if right := test.says == "not from the join service"; r.status != test.status || !strings.Contains(r.stderr, test.says) || !strings.Contains(r.stderr, "hint: ") || right != (asked.Load() > 0) {
				t.Errorf("exit status %d, asked %d times:\n%s", r.status, asked.Load(), r.stderr)
			}
		})
	}
}
