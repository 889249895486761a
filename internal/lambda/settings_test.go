package lambda_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/lambda"
)

// least are the variables without which join does not start.
func least() map[string]string {
	return map[string]string{
		lambda.EnvResourcesTable:    "resources",
		lambda.EnvKeySetsTable:      "keysets",
		lambda.EnvJoinsTable:        "joins",
		lambda.EnvPublicURL:         "https://join.example.com",
		lambda.EnvRefresher:         "jwks-refresh",
		lambda.EnvKey(cert.SSHUser): "11111111-2222-3333-4444-555555555555",
	}
}

func lookup(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestJoinSettings(t *testing.T) {
	got, err := lambda.ReadJoinSettings(lookup(least()))
	must(t, err)
	if got.MaxTTL != 12*time.Hour || got.RecordTTL != 90*24*time.Hour || got.TrustDomain != "join.example.com" || got.Stage != "default" {
		t.Errorf("defaults: %+v", got)
	}
	if len(got.Keys) != 1 || got.Keys[cert.SSHUser] == "" {
		t.Errorf("keys %v, want the one that is set", got.Keys)
	}

	env := least()
	for _, p := range cert.Purposes() {
		env[lambda.EnvKey(p)] = "key of " + string(p)
	}
	env[lambda.EnvMaxTTL], env[lambda.EnvRecordDays], env[lambda.EnvTrustDomain], env[lambda.EnvStage] = "1h30m", "7", "example.com", "prod"
	got, err = lambda.ReadJoinSettings(lookup(env))
	must(t, err)
	if got.MaxTTL != 90*time.Minute || got.RecordTTL != 7*24*time.Hour || got.TrustDomain != "example.com" || got.Stage != "prod" {
		t.Errorf("%+v", got)
	}
	for _, p := range cert.Purposes() {
		if got.Keys[p] != "key of "+string(p) {
			t.Errorf("the key of %s is %q", p, got.Keys[p])
		}
	}
}

func TestRefreshSettings(t *testing.T) {
	env := map[string]string{
		lambda.EnvResourcesTable: "resources", lambda.EnvKeySetsTable: "keysets",
		jwks.EnvPrivateIssuers: "circleci.example.com, 10.0.0.1:8443", lambda.EnvConcurrency: "3",
	}
	got, err := lambda.ReadRefreshSettings(lookup(env))
	must(t, err)
	if len(got.Issuers.PrivateIssuers) != 2 || got.Issuers.RootCAs != nil || got.Concurrency != 3 {
		t.Errorf("%+v", got)
	}

	issuer := newIssuer(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, issuer.CA(), 0o600))
	for name, value := range map[string]string{"text": string(issuer.CA()), "file": file} {
		env[jwks.EnvIssuerCA] = value
		got, err := lambda.ReadRefreshSettings(lookup(env))
		if err != nil || got.Issuers.RootCAs == nil {
			t.Errorf("certificates as %s: %v", name, err)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	read := map[string]func(func(string) string) error{
		"join":    func(get func(string) string) error { _, err := lambda.ReadJoinSettings(get); return err },
		"refresh": func(get func(string) string) error { _, err := lambda.ReadRefreshSettings(get); return err },
	}
	tests := []struct{ of, name, value, says string }{
		{"join", lambda.EnvResourcesTable, "", "is not set"},
		{"join", lambda.EnvKeySetsTable, " ", "is not set"},
		{"join", lambda.EnvJoinsTable, "", "is not set"},
		{"join", lambda.EnvRefresher, "", "is not set"},
		{"join", lambda.EnvKey(cert.SSHUser), "", "cannot be left out"},
		{"join", lambda.EnvPublicURL, "", "is not set"},
		{"join", lambda.EnvPublicURL, "http://join.example.com", "https://join.example.com"},
		{"join", lambda.EnvPublicURL, "https://join.example.com/", "without a trailing slash"},
		{"join", lambda.EnvPublicURL, "https://join.example.com?a=b", "write it like"},
		{"join", lambda.EnvPublicURL, "https://user@join.example.com", "write it like"},
		{"join", lambda.EnvPublicURL, "join.example.com", "write it like"},
		{"join", lambda.EnvTrustDomain, "Example.com", "lower-case"},
		{"join", lambda.EnvTrustDomain, "example.com/path", "lower-case"},
		{"join", lambda.EnvMaxTTL, "24h", "from 1s to 12h"},
		{"join", lambda.EnvMaxTTL, "0s", "from 1s to 12h"},
		{"join", lambda.EnvMaxTTL, "3600", "from 1s to 12h"},
		{"join", lambda.EnvRecordDays, "0", "from 1 to 3650"},
		{"join", lambda.EnvRecordDays, "90 days", "from 1 to 3650"},
		{"join", lambda.EnvLogLevel, "loud", "debug, info, warn or error"},
		{"refresh", lambda.EnvResourcesTable, "", "is not set"},
		{"refresh", lambda.EnvKeySetsTable, "", "is not set"},
		{"refresh", lambda.EnvConcurrency, "257", "from 1 to 256"},
		{"refresh", jwks.EnvPrivateIssuers, "https://circleci.example.com/", ""},
		{"refresh", jwks.EnvIssuerCA, "/no/such/file", "no such file"},
		{"refresh", jwks.EnvIssuerCA, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "certificates only"},
		{"refresh", lambda.EnvLogLevel, "loud", "debug, info, warn or error"},
	}
	for _, tt := range tests {
		t.Run(tt.of+" "+tt.name+"="+tt.value, func(t *testing.T) {
			env := least()
			env[tt.name] = tt.value
			err := read[tt.of](lookup(env))
			if err == nil || !strings.HasPrefix(err.Error(), tt.name+": ") || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error of %s that says %q", err, tt.name, tt.says)
			}
		})
	}
	t.Run("all problems at once", func(t *testing.T) {
		err := read["join"](lookup(nil))
		for name := range maps.Keys(least()) {
			if err == nil || !strings.Contains(err.Error(), name+": ") {
				t.Errorf("%v does not name %s", err, name)
			}
		}
	})
}

// The page lists every variable that the functions read, with its default, and no other.
func TestSettingsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/settings.md")
	must(t, err)
	row := regexp.MustCompile("(?m)^\\| `(GATEPASS_[A-Z0-9_]+)` \\| (join|jwks-refresh|both) \\| .+ \\| (.+) \\|$")
	page := map[string][]string{} // function and default by variable
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		page[m[1]] = m[2:]
	}
	asked := map[string]map[string]bool{"join": {}, "jwks-refresh": {}}
	spy := func(of string) func(string) string {
		return func(name string) string { asked[of][name] = true; return "" }
	}
	_, joinErr := lambda.ReadJoinSettings(spy("join"))
	_, refreshErr := lambda.ReadRefreshSettings(spy("jwks-refresh"))
	all := map[string]bool{}
	for of, names := range asked {
		for name := range names {
			all[name] = true
			want := of
			if asked["join"][name] && asked["jwks-refresh"][name] {
				want = "both"
			}
			if page[name] == nil || page[name][0] != want {
				t.Errorf("%s is read by %s and the page has %q", name, want, page[name])
				continue
			}
			required := strings.Contains(joinErr.Error(), name+": ") || strings.Contains(refreshErr.Error(), name+": ")
			if required != (page[name][1] == "required") {
				t.Errorf("%s is required: %t, and the page says %q", name, required, page[name][1])
			}
		}
	}
	for name := range page {
		if !all[name] {
			t.Errorf("the page has %s, which nothing reads", name)
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d variables: %v", len(all), slices.Sorted(maps.Keys(all)))
	}
}

// The defaults that the page tells are those of the code.
func TestSettingsPageDefaults(t *testing.T) {
	text, err := os.ReadFile("../../docs/settings.md")
	must(t, err)
	without, err := lambda.ReadJoinSettings(lookup(least()))
	must(t, err)
	refresh, err := lambda.ReadRefreshSettings(lookup(least()))
	must(t, err)
	row := regexp.MustCompile("(?m)^\\| `(GATEPASS_[A-Z0-9_]+)` .* \\| `([^`]+)` \\|$")
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) != 5 {
		t.Errorf("%d variables with a default, want 5", len(rows))
	}
	for _, m := range rows {
		env := least()
		env[m[1]] = m[2]
		with, err := lambda.ReadJoinSettings(lookup(env))
		must(t, err)
		withRefresh, err := lambda.ReadRefreshSettings(lookup(env))
		must(t, err)
		same := with.MaxTTL == without.MaxTTL && with.RecordTTL == without.RecordTTL && with.Common == without.Common &&
			withRefresh.Concurrency == refresh.Concurrency && withRefresh.Common == refresh.Common
		if !same {
			t.Errorf("%s=%s is not the default", m[1], m[2])
		}
	}
}
