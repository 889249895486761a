package service

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// ParseURL reads where the service is: a URL, or HOST:PORT as tbot has it.
// The ID token is a secret, so plain http is for loopback only.
func ParseURL(raw string) (*url.URL, error) {
	text := strings.TrimSpace(raw)
	if text == "" {
		return nil, cli.Misused("no server is given").
			Hint("give --server https://join.example.com, or set GATEPASS_SERVER")
	}
	bare := !strings.Contains(text, "://")
	if bare {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		// The parser's message repeats the URL, which may hold a password.
		return nil, cli.Misused("the server's address is not a URL").
			Hint("write it like https://join.example.com or join.example.com:443")
	}
	if bare && loopback(u.Hostname()) {
		u.Scheme = "http"
	}
	switch {
	case u.User != nil:
		return nil, cli.Misused("the server's address holds a user or password").
			Hint("leave it out: the job's ID token is all that is needed")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, cli.Misused("the server's address %s://%s has a query or a fragment", u.Scheme, u.Host).
			Hint("give only scheme, host and, where needed, a path")
	case u.Hostname() == "":
		return nil, cli.Misused("the server's address %q names no host", u.Redacted()).
			Hint("write it like https://join.example.com or join.example.com:443")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, cli.Misused("the server's address http://%s would send the ID token unencrypted", u.Host).
			Hint("use https://%s", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, cli.Misused("the server's address has scheme %q", u.Scheme).
			Hint("use https")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// loopback reports whether the host cannot be on another machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && addr.Zone() == ""
}
