package cert

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Limits of an SSH certificate. OpenSSH itself refuses more than 256 principals; one is
// as long as a login of 256 bytes with labels of 512.
const (
	maxKeyID      = 256
	maxPrincipals = 256
	maxPrincipal  = 256 + 1 + 512
)

// check refuses a request that would make a certificate which is wider than
// meant, or which OpenSSH would not accept.
func (r *SSHRequest) check() error {
	if r.Key == nil {
		return errors.New("an SSH certificate needs a public key")
	}
	if err := checkSSHKey(r.Key); err != nil {
		return err
	}
	if r.KeyID == "" || len(r.KeyID) > maxKeyID || !printableASCII(r.KeyID) {
		return fmt.Errorf("the key id of an SSH certificate has 1 to %d printable ASCII characters", maxKeyID)
	}
	if r.Serial == 0 {
		return errors.New("the serial of an SSH certificate is not zero")
	}
	if err := r.checkPrincipals(); err != nil {
		return err
	}
	if err := checkValidity(r.ValidAfter, r.ValidBefore); err != nil {
		return err
	}
	return r.checkOptions()
}

func (r *SSHRequest) checkPrincipals() error {
	if n := len(r.Principals); n == 0 || n > maxPrincipals {
		return fmt.Errorf("an SSH certificate has 1 to %d principals, not %d", maxPrincipals, n)
	}
	checkOne := checkLogin
	if r.Host {
		checkOne = checkHostName
	}
	for _, p := range r.Principals {
		if p == "" || len(p) > maxPrincipal || !printableASCII(p) || strings.ContainsAny(p, " \"#") {
			return fmt.Errorf("principal %q: write 1 to %d printable ASCII characters without space, quote and #", p, maxPrincipal)
		}
		if err := checkOne(p); err != nil {
			return err
		}
	}
	return nil
}

// checkLogin takes a login, or one on hosts with some labels: LOGIN@NAME=VALUE,… with
// the names in their order and each once. A certificate with labels in another form
// would be one that no host lists.
func checkLogin(p string) error {
	if strings.ContainsAny(p, "*?") {
		return fmt.Errorf("principal %q: a login has no wildcard; name each login", p)
	}
	if !strings.ContainsAny(p, ",=") {
		return nil
	}
	at := strings.LastIndexByte(p, '@')
	if at < 1 || strings.ContainsAny(p[:at], ",=") {
		return fmt.Errorf("principal %q: a login is without comma and =; labels follow as LOGIN@NAME=VALUE", p)
	}
	last := ""
	for label := range strings.SplitSeq(p[at+1:], ",") {
		name, value, _ := strings.Cut(label, "=")
		if value == "" || strings.Contains(value, "=") || name <= last {
			return fmt.Errorf("principal %q: labels are NAME=VALUE, with commas, sorted by name, each once", p)
		}
		last = name
	}
	return nil
}

// checkHostName takes a name or an address as SSH clients look for it: they write names
// in lower case and know the port apart from them.
func checkHostName(p string) error {
	switch {
	case strings.ContainsAny(p, "*?"):
		return fmt.Errorf("name %q is a pattern, which ssh takes for no host: write every name by which clients reach the host", p)
	case p != strings.ToLower(p):
		return fmt.Errorf("name %q has capital letters, which ssh never looks for: write %q", p, strings.ToLower(p))
	case strings.Contains(p, ":"):
		if _, err := netip.ParseAddr(p); err != nil {
			return fmt.Errorf("name %q: write a host's name or address, without a port", p)
		}
	case strings.ContainsAny(p, "@/,[]"):
		return fmt.Errorf("name %q is no host's: write its name or address alone", p)
	}
	return nil
}

// The critical options of user certificates (PROTOCOL.certkeys of OpenSSH). A
// server refuses a certificate with one that it does not know.
const (
	optionForceCommand  = "force-command"
	optionSourceAddress = "source-address"
)

func (r *SSHRequest) checkOptions() error {
	if r.Host && len(r.Extensions)+len(r.CriticalOptions) > 0 {
		return errors.New("a host certificate has no extensions and no critical options")
	}
	for name := range r.Extensions {
		if name == "" || !printableASCII(name) || strings.ContainsAny(name, " ,=") {
			return fmt.Errorf("extension %q: write its name in printable ASCII without space, comma and =", name)
		}
	}
	for name, value := range r.CriticalOptions {
		switch {
		case name == optionForceCommand && value != "" && !strings.ContainsAny(value, "\x00\r\n"):
		case name == optionSourceAddress && addressList(value):
		case name == optionForceCommand || name == optionSourceAddress:
			return fmt.Errorf("critical option %s: %q is no value of it", name, value)
		default:
			return fmt.Errorf("critical option %q: only %s and %s are signed", name, optionForceCommand, optionSourceAddress)
		}
	}
	return nil
}

// addressList reports whether s is a comma-separated list of addresses and
// CIDR prefixes, the only form of source-address that sshd accepts.
func addressList(s string) bool {
	for a := range strings.SplitSeq(s, ",") {
		prefix, err := netip.ParsePrefix(a)
		if err == nil && prefix == prefix.Masked() {
			continue
		}
		if addr, err := netip.ParseAddr(a); err != nil || addr.Zone() != "" {
			return false
		}
	}
	return true
}

// endOfTime is the last second of the year 9999, the last that X.509 can say
// (RFC 5280 §4.1.2.5); later ones would also come near those SSH numbers that
// mean forever.
const endOfTime = 253402300799

// checkValidity compares whole seconds: what is cut off cannot be signed.
func checkValidity(from, until time.Time) error {
	a, b := from.Unix(), until.Unix()
	if a < 0 || b > endOfTime || a >= b {
		return fmt.Errorf("a certificate valid from %s until %s is never valid, or for ever; give a start before the end, both from 1970 to 9999",
			from.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
	}
	return nil
}
