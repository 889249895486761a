package join

import (
	"strings"
	"testing"
	"time"
)

func TestNewChecksItsConfig(t *testing.T) {
	good := Config{PublicURL: "https://join.example.com", TrustDomain: "example.com"}
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string // empty if it is taken
	}{
		{"a good one", func(*Config) {}, ""},
		{"a public URL with a path", func(c *Config) { c.PublicURL += "/gatepass" }, ""},
		{"plain HTTP, as on loopback", func(c *Config) { c.PublicURL = "http://127.0.0.1:8600" }, ""},
		{"no public URL", func(c *Config) { c.PublicURL = "" }, "public URL"},
		{"a trailing slash", func(c *Config) { c.PublicURL += "/" }, "public URL"},
		{"another scheme", func(c *Config) { c.PublicURL = "ftp://join.example.com" }, "public URL"},
		{"a query", func(c *Config) { c.PublicURL += "?a=b" }, "public URL"},
		{"an empty query", func(c *Config) { c.PublicURL += "?" }, "public URL"},
		{"a fragment", func(c *Config) { c.PublicURL += "#a" }, "public URL"},
		{"an empty fragment", func(c *Config) { c.PublicURL += "#" }, "public URL"},
		{"a user", func(c *Config) { c.PublicURL = "https://a@join.example.com" }, "public URL"},
		{"no trust domain", func(c *Config) { c.TrustDomain = "" }, "trust domain"},
		{"a trust domain with capitals", func(c *Config) { c.TrustDomain = "Example.com" }, "trust domain"},
		{"a trust domain with a port", func(c *Config) { c.TrustDomain = "example.com:443" }, "trust domain"},
		{"an IPv6 address", func(c *Config) { c.TrustDomain = "::1" }, "trust domain"},
		{"a path", func(c *Config) { c.TrustDomain = "example.com/bot" }, "trust domain"},
		{"a lifetime below a second", func(c *Config) { c.MaxTTL = time.Millisecond }, "maximum TTL"},
		{"a negative lifetime", func(c *Config) { c.MaxTTL = -time.Second }, "maximum TTL"},
		{"a second", func(c *Config) { c.MaxTTL = time.Second }, ""},
		{"twelve hours", func(c *Config) { c.MaxTTL = 12 * time.Hour }, ""},
		{"more than twelve hours", func(c *Config) { c.MaxTTL = 12*time.Hour + time.Second }, "maximum TTL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good
			c.change(&config)
			_, err := New(config)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want one that says %q", err, c.says)
			}
		})
	}
}
