package service

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func config(t *testing.T) Config {
	t.Helper()
	return Config{
		Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", Version: "test",
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
}

func TestOpenRefuses(t *testing.T) {
	proxy := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string // empty if it opens
	}{
		{"loopback in the clear", func(*Config) {}, ""},
		{"localhost in the clear", func(c *Config) { c.Listen = "localhost:0" }, ""},
		{"every address in the clear", func(c *Config) { c.Listen = "0.0.0.0:0" }, "in the clear"},
		{"every address, written short", func(c *Config) { c.Listen = ":0" }, "in the clear"},
		{"every IPv6 address", func(c *Config) { c.Listen = "[::]:0" }, "in the clear"},
		{"a name that is not loopback", func(c *Config) { c.Listen = "localhost.example.com:0" }, "in the clear"},
		{"every address behind a proxy", func(c *Config) {
			c.Listen, c.TrustedProxies, c.PublicURL = "0.0.0.0:0", proxy, "https://join.example.com"
		}, ""},
		{"every address and no public URL", func(c *Config) { c.Listen, c.TrustedProxies = "0.0.0.0:0", proxy }, "--public-url"},
		{"IPv6 loopback", func(c *Config) { c.Listen = "[::1]:0" }, ""},
		{"no port", func(c *Config) { c.Listen = "127.0.0.1" }, "write an address and a port"},
		{"a key without a certificate", func(c *Config) { c.TLSKey = "key.pem" }, "both"},
		{"a certificate without a key", func(c *Config) { c.TLSCert = "cert.pem" }, "both"},
		{"a certificate that is not there", func(c *Config) { c.TLSCert, c.TLSKey = "cert.pem", "key.pem" }, "reading the server's certificate"},
		{"a host in capitals", func(c *Config) { c.PublicURL = "https://Join.Example.com" }, ""},
		{"a public URL with a slash", func(c *Config) { c.PublicURL = "https://join.example.com/" }, "public URL"},
		{"a trust domain that none is", func(c *Config) { c.TrustDomain = "a b" }, "trust domain"},
		{"too long a lifetime", func(c *Config) { c.MaxTTL = 13 * time.Hour }, "maximum TTL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := config(t)
			c.change(&config)
			s, err := Open(t.Context(), config)
			if err == nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want one that says %q", err, c.says)
			}
		})
	}
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run serves c until the test ends or stop is called, which waits for the end.
func run(t *testing.T, c Config) (s *Server, stop func() error) {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return s, stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServesAndIsFound(t *testing.T) {
	c := config(t)
	if ctl.FindRunning(t.Context(), c.Data) != nil {
		t.Error("found a server that was never started")
	}
	s, stop := run(t, c)
	if code, body := get(t, s.URL()+api.PathAuthorities); code != http.StatusOK || !strings.Contains(body, "ssh_user") {
		t.Fatalf("answered %d %s", code, body)
	}
	r := ctl.FindRunning(t.Context(), c.Data)
	if r == nil || r.URL != s.URL() || r.PublicURL != s.URL() || r.Version != "test" {
		t.Errorf("found %+v", r)
	}
	for _, name := range []string{".", ctl.AuthoritiesDir} {
		info, err := os.Stat(filepath.Join(c.Data, name))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, ctl.RunningFile)); err == nil {
		t.Error("a server that ended is still announced")
	}
	if ctl.FindRunning(t.Context(), c.Data) != nil {
		t.Error("found a server that has ended")
	}
}

// The announcement is a help for people: a server that cannot make it serves all the same.
func TestServesWithoutAnnouncement(t *testing.T) {
	c, log := config(t), &buffer{}
	c.Log = slog.New(slog.NewTextHandler(log, nil))
	if err := os.MkdirAll(filepath.Join(c.Data, ctl.RunningFile), 0o700); err != nil {
		t.Fatal(err)
	}
	s, stop := run(t, c)
	if code, _ := get(t, s.URL()+api.PathHealth); code != http.StatusOK {
		t.Errorf("answered %d", code)
	}
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if !strings.Contains(log.String(), ctl.RunningFile) {
		t.Errorf("logged %s", log.String())
	}
}

// A second server of one directory takes the announcement over, and the first
// one's end leaves it.
func TestTheLastAnnouncementStays(t *testing.T) {
	c := config(t)
	first, stop := run(t, c)
	get(t, first.URL()+api.PathHealth)
	second, _ := run(t, c)
	get(t, second.URL()+api.PathHealth)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if r := ctl.FindRunning(t.Context(), c.Data); r == nil || r.URL != second.URL() {
		t.Errorf("found %+v, want the server at %s", r, second.URL())
	}
}

func TestTheRequestsHostIsNotBelieved(t *testing.T) {
	c := config(t)
	c.PublicURL = "https://join.example.com"
	s, _ := run(t, c)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+api.PathDiscovery, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example.com"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.Issuer != c.PublicURL || doc.JWKS != c.PublicURL+api.PathJWKS {
		t.Errorf("got %+v", doc)
	}
}
