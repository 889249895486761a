package jwks

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ValidateIssuer reports what is wrong with an issuer's URL: it must be https
// with a host and an optional path, and have no user, query, fragment or
// trailing slash (OpenID Connect Discovery 1.0 §4). Rules are checked for the
// same when they are stored; this is the last look before dialing.
func ValidateIssuer(issuer string) error {
	u, err := parseHTTPS(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("issuer %s: %w", quote(issuer), err)
	case u.RawQuery != "" || u.ForceQuery:
		return fmt.Errorf("issuer %s: has a query; write the URL without what follows the question mark", quote(issuer))
	case strings.HasSuffix(issuer, "/"):
		return fmt.Errorf("issuer %s: ends in a slash; write it exactly as the iss of the tokens, without the slash", quote(issuer))
	}
	return nil
}

// parseHTTPS parses an absolute https URL without user and fragment. What does
// not print as it was written is refused, so that no two parsers read it differently.
func parseHTTPS(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	switch {
	case u.Scheme != "https" || !strings.HasPrefix(raw, "https://"):
		return nil, errors.New("must begin with https://")
	case u.User != nil:
		return nil, errors.New("must not name a user")
	case strings.Contains(raw, "#"):
		return nil, errors.New("must not have a fragment")
	case u.Host == "":
		return nil, errors.New("host is missing")
	case u.String() != raw:
		return nil, errors.New("is not written in plain URL characters")
	}
	if _, err := hostPort(u.Host); err != nil {
		return nil, err
	}
	return u, nil
}

// ParsePrivateIssuers parses the setting GATEPASS_PRIVATE_ISSUERS: hosts as in
// the issuers' URLs, each HOST or HOST:PORT (443 if left out; an IPv6 address in
// brackets), separated by commas or white space. It returns them as lower-case
// HOST:PORT, once each, in their order.
func ParsePrivateIssuers(s string) ([]string, error) {
	var list []string
	for _, entry := range strings.FieldsFunc(s, isSeparator) {
		hp, err := hostPort(entry)
		if err != nil {
			return nil, fmt.Errorf("GATEPASS_PRIVATE_ISSUERS: %s: %w", quote(entry), err)
		}
		if !slices.Contains(list, hp) {
			list = append(list, hp)
		}
	}
	return list, nil
}

func isSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// hostPort brings HOST or HOST:PORT of an https URL into the one form that
// dialing decisions are keyed on: lower case and with a port. A name is kept as
// it is otherwise: "host." is another name than "host".
func hostPort(s string) (string, error) {
	if strings.ContainsAny(s, "/@?#\\") {
		return "", errors.New("write a host and port such as ci.example.com:443, not a URL")
	}
	host, port := s, "443"
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", errors.New("port must be a number from 1 to 65535")
	}
	host = strings.ToLower(host)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", errors.New("host in brackets must be an IPv6 address without a zone")
		}
		return net.JoinHostPort(inner, port), nil
	}
	if host == "" {
		return "", errors.New("host is missing")
	}
	for _, c := range []byte(host) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return "", errors.New("host may hold letters, digits, dots and hyphens only; an IPv6 address goes in brackets, " +
				"an international name in its xn-- form, and there are no patterns")
		}
	}
	return net.JoinHostPort(host, port), nil
}
