package rules

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// checkIssuer says what is wrong with an issuer (OpenID Connect Discovery 1.0
// §3): a token's iss is compared with it byte for byte, and it is dialed.
func checkIssuer(s string) string {
	const how = "write it exactly as the iss claim of the CI's tokens"
	if s == "" {
		return "is missing; " + how
	}
	if len(s) > maxIssuer {
		return fmt.Sprintf("has %d characters; at most %d are allowed", len(s), maxIssuer)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is not a URL; %s", s, how)
	case !strings.HasPrefix(s, "https://"):
		return fmt.Sprintf("%q does not begin with https://; %s", s, how)
	case u.User != nil:
		return "names a user; write the URL without what stands before the @"
	case strings.ContainsAny(s, "?#"):
		return fmt.Sprintf("%q has a query or a fragment; write the URL without it", s)
	case strings.HasSuffix(s, "/"):
		return fmt.Sprintf("%q ends in a slash; %s, without it", s, how)
	case !validHost(u.Host):
		return fmt.Sprintf("%q has no valid host; %s", s, how)
	case u.String() != s || strings.Contains(s, "%") || strings.Contains(s, "\\"):
		return fmt.Sprintf("%q is not written in plain URL characters; %s", s, how)
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(u.Path, "/"), "/") {
		if u.Path != "" && (segment == "" || segment == "." || segment == "..") {
			return fmt.Sprintf("%q has an empty segment or one of dots in its path; %s", s, how)
		}
	}
	return ""
}

// validHost reports whether s is HOST or HOST:PORT, an IPv6 address in brackets.
func validHost(s string) bool {
	host, port := s, "443"
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return false
	}
	if strings.HasPrefix(host, "[") { // url.Parse has checked that the bracket is closed
		return strings.Trim(host[1:len(host)-1], "0123456789abcdefABCDEF:.") == ""
	}
	for i := range len(host) {
		if b := host[i]; !isAlpha(b) && !isLowerAlnum(b) && b != '.' && b != '-' && b != '_' {
			return false
		}
	}
	return host != ""
}
