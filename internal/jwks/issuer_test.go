package jwks

import (
	"slices"
	"strings"
	"testing"
)

func TestValidateIssuer(t *testing.T) {
	for _, ok := range []string{
		"https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
		"https://oidc.circleci.com/org/00000000-0000-0000-0000-000000000001",
		"https://circleci.example.com",
		"https://circleci.example.com:8443/a%20b",
		"https://[2001:db8::1]:8443",
		"https://127.0.0.1:8443",
	} {
		if err := ValidateIssuer(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, tc := range []struct{ issuer, want string }{
		{"", "must begin with https://"},
		{"http://ci.example.com", "must begin with https://"},
		{"HTTPS://ci.example.com", "must begin with https://"},
		{"ci.example.com", "must begin with https://"},
		{"//ci.example.com", "must begin with https://"},
		{"https:ci.example.com", "must begin with https://"},
		{"file:///etc/passwd", "must begin with https://"},
		{"https://", "host is missing"},
		{"https:///path", "host is missing"},
		{"https://:443", "host is missing"},
		{"https://ci.example.com/", "ends in a slash"},
		{"https://ci.example.com/org/", "ends in a slash"},
		{"https://user@ci.example.com", "user"},
		{"https://user:pw@ci.example.com", "user"},
		{"https://api.bitbucket.org@evil.example.com", "user"},
		{"https://ci.example.com?", "query"},
		{"https://ci.example.com?a=b", "query"},
		{"https://ci.example.com#", "fragment"},
		{"https://ci.example.com#a", "fragment"},
		{"https://ci.example.com:", "port"},
		{"https://ci.example.com:0", "port"},
		{"https://ci.example.com:0443", "port"},
		{"https://ci.example.com:65536", "port"},
		{"https://ci.example.com:https", "not a URL"},
		{"https://ci.example.com/a b", "plain URL characters"},
		{"https://ci.exämple.com", "plain URL characters"},
		{"https://%31%32%37.0.0.1", "not a URL"},
		{"https://ci.example.com/\x00", "not a URL"},
		{"https://ci.example.com/\r\nHost: x", "not a URL"},
		{"https://[fe80::1%25eth0]", "zone"},
		{"https://[127.0.0.1]", "not a URL"},
		{"https://ci.example.com\\@evil.example.com", "not a URL"},
		{"https://ci*.example.com", "no patterns"},
	} {
		err := ValidateIssuer(tc.issuer)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want an error that says %q", tc.issuer, err, tc.want)
		}
	}
}

func TestParsePrivateIssuers(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" ,\n", nil},
		{"ci.example.com", []string{"ci.example.com:443"}},
		{"CI.Example.com:8443", []string{"ci.example.com:8443"}},
		{"a:1, b:2\nc", []string{"a:1", "b:2", "c:443"}},
		{"a:1\tb:2\rc:3\r\nd:4", []string{"a:1", "b:2", "c:3", "d:4"}},
		{"a,a:443,A", []string{"a:443"}},
		{"10.0.0.7:8443", []string{"10.0.0.7:8443"}},
		{"[FD00::1],[fd00::2]:8443", []string{"[fd00::1]:443", "[fd00::2]:8443"}},
	} {
		got, err := ParsePrivateIssuers(tc.in)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%q: got %q, %v, want %q", tc.in, got, err, tc.want)
		}
	}
	for _, in := range []string{
		"https://ci.example.com", "ci.example.com/org", "user@ci.example.com", "*.example.com", "*", "ci.example.com:", ":443",
		"ci.example.com:0", "ci.example.com:99999", "ci.example.com:+1", "fd00::1", "[fd00::1", "[10.0.0.1]", "ci\\x", "ci?", "ci#", "[fe80::1%25eth0]:443", "10.0.0.0/8", "ci;x",
	} {
		got, err := ParsePrivateIssuers("good.example.com," + in)
		if err == nil || !strings.Contains(err.Error(), "GATEPASS_PRIVATE_ISSUERS") {
			t.Errorf("%q: got %q, %v, want an error that names the setting", in, got, err)
		}
		if _, err := NewHTTPClient(ClientConfig{PrivateIssuers: []string{in}}); err == nil {
			t.Errorf("%q: NewHTTPClient takes it", in)
		}
	}
}
