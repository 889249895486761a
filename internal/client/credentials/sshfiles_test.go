package credentials

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestHostPatterns(t *testing.T) {
	tests := map[string]string{ // an empty result is a refusal
		"host":                "host",
		"*.example.com":       "*.example.com",
		"a,b":                 "a,b",
		"!bad,*":              "!bad,*",
		"[host]:2222":         "[host]:2222",
		"":                    "",
		"a b":                 "",
		"a\nhost2 ssh-rsa x":  "",
		"a,,b":                "",
		"|1|hash|hash":        "",
		"#":                   "",
		"@cert-authority":     "",
		"!":                   "",
		"host\tssh-ed25519 A": "",
	}
	for pattern, want := range tests {
		got, err := hostPatterns([]string{pattern})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", pattern, got, err, want)
		}
	}
	if got, err := hostPatterns(nil); got != "*" || err != nil {
		t.Errorf("no patterns: %q %v", got, err)
	}
}

func TestPathsThatSSHConfigCannotHold(t *testing.T) {
	for _, path := range []string{`/a"b`, "/a\nProxyCommand x", `/a\b`, "/a${HOME}", "/a\x00"} {
		if _, err := wanted(t, identity(), path).Output(); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
	config, err := sshConfig(&granted{dir: "/a b/50%"})
	if err != nil || !strings.Contains(string(config), `IdentityFile "/a b/50%%/key"`) {
		t.Errorf("the configuration is %s", config)
	}
}

// TestEachRequestHasItsOwnKey: a key that two joins share would outlive the first.
func TestEachRequestHasItsOwnKey(t *testing.T) {
	seen := make(map[string]bool)
	for range 2 {
		o, err := wanted(t, identity(), t.TempDir()).Output()
		if err != nil {
			t.Fatal(err)
		}
		credentials, keys, err := o.Request("x-", rand.Reader)
		if err != nil || len(credentials) != 2 || len(keys) != 2 || keys[0] == keys[1] {
			t.Fatal(credentials, keys, err)
		}
		if credentials[0].Name != "x-ssh" || credentials[1].Name != "x-tls" || credentials[1].Usage != api.UsageIdentity {
			t.Errorf("%+v", credentials)
		}
		seen[credentials[0].PublicKey] = true
	}
	if len(seen) != 2 {
		t.Error("two requests have one key")
	}
}

// TestAnAuthorityLineCannotSmuggleAnother: what the service sends is parsed and made anew.
func TestAnAuthorityLineCannotSmuggleAnother(t *testing.T) {
	key, err := newKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := keyLine(key.ssh)
	for _, line := range []string{good + "\n* " + good, "garbage", "", good + "\nssh-ed25519 x", `command="x" ` + good, "command=\"x\n" + good} {
		if _, err := parseAuthorities([]string{line}); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
	keys, err := parseAuthorities([]string{good + " a comment"})
	if err != nil || string(knownHosts("*", keys, nil)) != "@cert-authority * "+good+"\n" {
		t.Errorf("%q %v", knownHosts("*", keys, nil), err)
	}
}
