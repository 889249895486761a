package jwks

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"code.dny.dev/ssrf"
)

func TestPublicOnly(t *testing.T) {
	allowed := map[string][]string{
		"public": {"1.1.1.1", "8.8.8.8", "104.192.136.1", "172.32.0.1", "100.128.0.1", "11.0.0.0", "9.255.255.255", "198.20.0.1", "223.255.255.255"},
		"IPv6":   {"2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"},
	}
	refused := map[string][]string{
		"this network":         {"0.0.0.0", "0.1.2.3", "::"},
		"loopback":             {"127.0.0.1", "127.255.255.254", "::1"},
		"private":              {"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd00:ec2::254"},
		"shared (100.64/10)":   {"100.64.0.1", "100.100.100.200", "100.127.255.255"},
		"link-local":           {"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"},
		"site-local":           {"fec0::1"},
		"IETF assignments":     {"192.0.0.1", "192.0.0.170", "192.0.0.192"},
		"documentation":        {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"},
		"benchmarking":         {"198.18.0.1", "198.19.255.255", "2001:2::1"},
		"multicast":            {"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"},
		"reserved, broadcast":  {"240.0.0.1", "255.255.255.255"},
		"6to4 relay":           {"192.88.99.1"},
		"IPv4-mapped":          {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"},
		"IPv4-translated":      {"::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"},
		"IPv4-compatible":      {"::127.0.0.1", "::10.0.0.1"},
		"NAT64":                {"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::7f00:1"},
		"6to4":                 {"2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:808:808::1"},
		"Teredo":               {"2001::1", "2001:0:7f00:1::"},
		"ORCHID":               {"2001:10::1", "2001:20::1"},
		"discard":              {"100::1", "100:0:0:1::1"},
		"segment routing":      {"5f00::1"},
		"unallocated IPv6":     {"4000::1", "a000::1"},
		"AS112":                {"192.31.196.1", "192.175.48.1", "2620:4f:8000::1"},
		"Azure's wire server":  {"168.63.129.16"},
		"no address":           {"", "localhost", "0x7f000001"},
		"zone on a public one": {"2606:4700::1111%eth0"},
	}
	control := publicOnly()
	check := func(addr string) error {
		network := "tcp4"
		if strings.Contains(addr, ":") {
			network = "tcp6"
		}
		return control(network, net.JoinHostPort(addr, "8443"), nil)
	}
	for kind, addrs := range allowed {
		for _, addr := range addrs {
			if err := check(addr); err != nil {
				t.Errorf("%s: %s is refused: %v", kind, addr, err)
			}
		}
	}
	for kind, addrs := range refused {
		for _, addr := range addrs {
			if check(addr) == nil {
				t.Errorf("%s: %s is let through", kind, addr)
			}
		}
	}
	if control("udp4", "8.8.8.8:443", nil) == nil {
		t.Error("another protocol than TCP is let through")
	}
}

// fetchVia fetches the issuer https://host:port of the server by the client of d.
func fetchVia(t *testing.T, d dialing, host string, s *testServer) error {
	t.Helper()
	d.timeout = 5 * time.Second
	_, _, err := Fetch(t.Context(), d.client(), "https://"+net.JoinHostPort(host, s.port()))
	return err
}

func TestDialsOnlyPublicAddresses(t *testing.T) {
	s := newServer(t, issuerHandler(func() string { return keySet(rsaJWK(`,"kid":"r"`)) }))
	dns := map[string][]string{
		"loopback.test": {"127.0.0.1"}, "six.test": {"::1"}, "mapped.test": {"::ffff:127.0.0.1"}, "example.com": {"127.0.0.1"},
		"private.test": {"10.0.0.1", "fd00::1"},
	}
	resolver := fakeDNS(t, func(name string, _ int) []string { return dns[name] })
	for _, host := range []string{
		"127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "localhost", "2130706433", "127.1",
		"169.254.169.254", "loopback.test", "six.test", "mapped.test", "private.test", "example.com",
	} {
		err := fetchVia(t, dialing{roots: s.roots(), resolver: resolver}, host, s)
		if err == nil {
			t.Errorf("%s: fetched", host)
		}
		if strings.HasSuffix(host, ".test") || strings.Contains(host, "0.0") {
			if !errors.Is(err, ssrf.ErrProhibitedIP) || !strings.Contains(err.Error(), "is not a public address") || !strings.Contains(err.Error(), "GATEPASS_PRIVATE_ISSUERS") {
				t.Errorf("%s: %v does not say why and what to do", host, err)
			}
		}
	}
	if n := s.opened.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}

	t.Run("named", func(t *testing.T) {
		for name, tc := range map[string]struct {
			named string
			ok    bool
		}{
			"the issuer itself":         {"example.com:" + s.port(), true},
			"in another case":           {"Example.COM:" + s.port(), true},
			"another port":              {"example.com:1", false},
			"another name, same server": {"loopback.test:" + s.port(), false},
			"its address, not its name": {"127.0.0.1:" + s.port(), false},
			"a parent domain":           {"com:" + s.port(), false},
			"with a final dot":          {"example.com.:" + s.port(), false},
		} {
			named, err := ParsePrivateIssuers(tc.named)
			if err != nil {
				t.Fatal(err)
			}
			before := s.opened.Load()
			err = fetchVia(t, dialing{named: map[string]bool{named[0]: true}, roots: s.roots(), resolver: resolver}, "example.com", s)
			if (err == nil) != tc.ok || (s.opened.Load() > before) != tc.ok {
				t.Errorf("%s: %v, connected %v", name, err, s.opened.Load() > before)
			}
		}
	})
}

// errStop ends a dial that the guard would have let through, before a packet
// leaves the machine.
var errStop = errors.New("stopped by the test")

// watch returns a guard that notes what it lets through and what not.
func watch() (control func(string, string, syscall.RawConn) error, passed, refused func() []string) {
	var mu sync.Mutex
	var yes, no []string
	guard := publicOnly()
	list := func(l *[]string) func() []string {
		return func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(*l) }
	}
	return func(network, address string, c syscall.RawConn) error {
		err := guard(network, address, c)
		mu.Lock()
		defer mu.Unlock()
		host, _, _ := net.SplitHostPort(address)
		if err != nil {
			no = append(no, host)
			return err
		}
		yes = append(yes, host)
		return errStop
	}, list(&yes), list(&no)
}

func TestRebinding(t *testing.T) {
	s := newServer(t, http.NotFoundHandler())
	// The first look-up answers with a public address, all later ones do not.
	resolver := fakeDNS(t, func(_ string, n int) []string {
		if n == 0 {
			return []string{"8.8.8.8"}
		}
		return []string{"127.0.0.1"}
	})
	control, passed, refused := watch()
	d := dialing{named: map[string]bool{"other.test:443": true}, roots: s.roots(), resolver: resolver, control: control}
	client := d.client()
	for i, want := range []error{errStop, ssrf.ErrProhibitedIP, ssrf.ErrProhibitedIP} {
		_, _, err := Fetch(t.Context(), client, "https://rebind.test:"+s.port())
		if !errors.Is(err, want) {
			t.Errorf("fetch %d: got %v, want %v", i, err, want)
		}
	}
	if !slices.Equal(passed(), []string{"8.8.8.8"}) || len(refused()) == 0 || s.opened.Load() != 0 {
		t.Errorf("let through %v, refused %v, %d connections", passed(), refused(), s.opened.Load())
	}
}

func TestPublicAndPrivateAddressesTogether(t *testing.T) {
	s := newServer(t, http.NotFoundHandler())
	resolver := fakeDNS(t, func(string, int) []string {
		return []string{"127.0.0.1", "8.8.8.8", "10.0.0.1", "::1", "2606:4700::1111", "169.254.169.254"}
	})
	control, passed, refused := watch()
	if err := fetchVia(t, dialing{roots: s.roots(), resolver: resolver, control: control}, "mixed.test", s); err == nil {
		t.Error("fetched")
	}
	for _, addr := range passed() {
		if addr != "8.8.8.8" && addr != "2606:4700::1111" {
			t.Errorf("%s is let through", addr)
		}
	}
	if len(passed()) == 0 || !slices.Contains(refused(), "127.0.0.1") || s.opened.Load() != 0 {
		t.Errorf("let through %v, refused %v, %d connections", passed(), refused(), s.opened.Load())
	}
}

// proxyAsked counts the requests to the proxy that TestMain puts into the environment.
var proxyAsked atomic.Int32

// TestMain sets the proxy before anything else, since net/http reads the
// environment for it only once.
func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxyAsked.Add(1) }))
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		os.Setenv(name, proxy.URL)
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		os.Unsetenv(name)
	}
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

func TestNoProxyFromEnvironment(t *testing.T) {
	s := newServer(t, issuerHandler(func() string { return keySet(rsaJWK(`,"kid":"r"`)) }))
	resolver := fakeDNS(t, func(string, int) []string { return []string{"127.0.0.1"} })
	named := map[string]bool{"example.com:" + s.port(): true}
	if err := fetchVia(t, dialing{named: named, roots: s.roots(), resolver: resolver}, "example.com", s); err != nil {
		t.Error(err)
	}
	if err := fetchVia(t, dialing{roots: s.roots(), resolver: resolver}, "example.com", s); !errors.Is(err, ssrf.ErrProhibitedIP) {
		t.Errorf("not named: %v", err)
	}
	if n := proxyAsked.Load(); n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
	// The environment does name a proxy that would have been asked.
	if u, err := http.ProxyFromEnvironment(httptest.NewRequest("GET", "https://example.com", nil)); err != nil || u == nil {
		t.Errorf("no proxy in the environment: %v, %v", u, err)
	}
}

func TestTLS(t *testing.T) {
	handler := issuerHandler(func() string { return keySet(rsaJWK(`,"kid":"r"`)) })
	resolver := fakeDNS(t, func(string, int) []string { return []string{"127.0.0.1"} })
	anyAddress := func(string, string, syscall.RawConn) error { return nil }
	named := func(s *testServer) map[string]bool {
		return map[string]bool{"example.com:" + s.port(): true, "other.test:" + s.port(): true}
	}
	version := func(max uint16) func(*httptest.Server) {
		return func(s *httptest.Server) { s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: max} }
	}
	t.Run("TLS 1.2", func(t *testing.T) {
		s := newServer(t, handler, version(tls.VersionTLS12))
		if err := fetchVia(t, dialing{named: named(s), roots: s.roots(), resolver: resolver}, "example.com", s); err != nil {
			t.Error(err)
		}
	})
	t.Run("TLS 1.1", func(t *testing.T) {
		s := newServer(t, handler, version(tls.VersionTLS11))
		err := fetchVia(t, dialing{named: named(s), roots: s.roots(), resolver: resolver}, "example.com", s)
		if err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("got %v", err)
		}
	})
	s := newServer(t, handler)
	t.Run("unknown authority", func(t *testing.T) {
		err := fetchVia(t, dialing{named: named(s), resolver: resolver}, "example.com", s)
		if !errors.As(err, new(x509.UnknownAuthorityError)) || !strings.Contains(err.Error(), "GATEPASS_ISSUER_CA") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("own authority does not speak for others", func(t *testing.T) {
		err := fetchVia(t, dialing{roots: s.roots(), resolver: resolver, control: anyAddress}, "example.com", s)
		if !errors.As(err, new(x509.UnknownAuthorityError)) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("certificate of another host", func(t *testing.T) {
		err := fetchVia(t, dialing{named: named(s), roots: s.roots(), resolver: resolver}, "other.test", s)
		if !errors.As(err, new(x509.HostnameError)) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("names for a terminal in the certificate", func(t *testing.T) {
		s := newServer(t, handler, func(s *httptest.Server) {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{hostileCertificate(t)}}
		})
		refused(t, s.client(t), s.URL, "certificate")
		refused(t, dialing{named: named(s), resolver: resolver}.client(), "https://example.com:"+s.port(), "certificate is valid for")
	})
	t.Run("no TLS at all", func(t *testing.T) {
		plain := httptest.NewServer(handler)
		defer plain.Close()
		hp := plain.Listener.Addr().String()
		c, err := NewHTTPClient(ClientConfig{PrivateIssuers: []string{hp}})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Fetch(t.Context(), c, "https://"+hp); err == nil {
			t.Error("fetched")
		}
	})
}

// hostileCertificate is valid for no host, but its names, which end up in
// errors, are long and hold terminal escapes.
func hostileCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"\x1b]0;owned\x07\r\nsecond line", strings.Repeat("x", 1000)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestRoots(t *testing.T) {
	s := newServer(t, issuerHandler(func() string { return keySet(rsaJWK(`,"kid":"r"`)) }))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	pool, err := Roots(slices.Concat([]byte("# our CA\n"), ca))
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewHTTPClient(ClientConfig{PrivateIssuers: []string{s.hostPort()}, RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Fetch(t.Context(), c, s.URL); err != nil {
		t.Error(err)
	}
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	system.AddCert(s.Certificate())
	if !pool.Equal(system) {
		t.Error("the pool is not the system's and the one certificate")
	}
	for name, tc := range map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "no certificate"},
		"not PEM":           {s.Certificate().Raw, "no certificate"},
		"a key":             {slices.Concat(ca, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")})), `"PRIVATE KEY"`},
		"a cut certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bytes.Clone(s.Certificate().Raw[:100])}), "certificate 1"},
	} {
		if _, err := Roots(tc.file); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "GATEPASS_ISSUER_CA") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func ExampleParsePrivateIssuers() {
	fmt.Println(ParsePrivateIssuers("circleci.example.com, CI.internal:8443"))
	// Output: [circleci.example.com:443 ci.internal:8443] <nil>
}
