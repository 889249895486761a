// Package ssh is the SSH client of gatepass ssh and gatepass cp: it logs in with a
// certificate that is only in memory, to hosts that prove who they are, runs
// commands there and copies files.
package ssh

import (
	"net"
	"strconv"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// DefaultPort is SSH's (RFC 4253, section 4.1).
const DefaultPort = 22

// Target is a login on a host.
type Target struct {
	User string // empty for the caller's default
	Host string // a name or an address, without brackets
	Port int    // zero for the caller's default
}

// ParseTarget reads [user@]host[:port]. An IPv6 address with a port has brackets.
func ParseTarget(text string) (Target, error) {
	var t Target
	rest := text
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		t.User, rest = text[:i], text[i+1:]
		if !plainUser(t.User) {
			return Target{}, badTarget(text, "its login is not a name")
		}
	}
	host, port := rest, ""
	switch {
	case strings.HasPrefix(rest, "["):
		inside, after, ok := strings.Cut(rest[1:], "]")
		if !ok || after != "" && !strings.HasPrefix(after, ":") || !strings.Contains(inside, ":") {
			return Target{}, badTarget(text, "brackets are for an IPv6 address")
		}
		host, port = inside, strings.TrimPrefix(after, ":")
		if after == ":" {
			return Target{}, badTarget(text, "its port is empty")
		}
	case strings.Count(rest, ":") == 1:
		host, port, _ = strings.Cut(rest, ":")
		if port == "" {
			return Target{}, badTarget(text, "its port is empty")
		}
	}
	if !plainHost(host) {
		return Target{}, badTarget(text, "its host is not a name or an address")
	}
	t.Host = strings.ToLower(host) // as ssh(1) has it, for certificates and known_hosts
	if port != "" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return Target{}, badTarget(text, "its port is not a number from 1 to 65535")
		}
		t.Port = int(number)
	}
	return t, nil
}

func badTarget(text, why string) error {
	return cli.Misused("%q is no host to log in to: %s", words.Clean(text), why).
		Hint("write [user@]host[:port], such as deploy@web-1.example.com:22 or deploy@[2001:db8::1]:22")
}

func plainUser(name string) bool {
	return words.Plain(name, "._@-+") && name[0] != '-'
}

func plainHost(name string) bool {
	return words.Plain(name, "._-:%") && name[0] != '-'
}

// Or fills in what the target does not say.
func (t Target) Or(user string, port int) Target {
	if t.User == "" {
		t.User = user
	}
	if t.Port == 0 {
		t.Port = port
	}
	return t
}

// Address is host and port for net.Dial.
func (t Target) Address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// Name is how people know the target: the host, and its port if that is not SSH's.
func (t Target) Name() string {
	if t.Port == DefaultPort || t.Port == 0 {
		return t.Host
	}
	return t.Address()
}
