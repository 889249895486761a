package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// result is what one run of the command line left.
type result struct {
	status         int
	stdout, stderr string
}

// gatepass runs a command line in this process with nothing in the environment but env.
func gatepass(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(context.Background(), args, func(name string) string { return env[name] }, strings.NewReader(""), &stdout, &stderr)
	r := result{status, stdout.String(), stderr.String()}
	for _, secret := range []string{"PRIVATE KEY", strings.Split(idToken("x"), ".")[2]} {
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Fatalf("a secret is in the output of %q:\n%s%s", args, r.stdout, r.stderr)
		}
	}
	if strings.ContainsRune(r.stdout+r.stderr, 0x1b) {
		t.Fatalf("an escape sequence is in the output of %q", args)
	}
	return r
}

// joinArgs is a join that works, with more flags.
func joinArgs(s *service, dir string, more ...string) []string {
	return append([]string{"join", "identity", "--server", s.URL, "--token", "example-bot", "--destination", dir, "--timeout", "1s"}, more...)
}

var inBitbucket = map[string]string{"BITBUCKET_BUILD_NUMBER": "1", "BITBUCKET_STEP_OIDC_TOKEN": idToken("x")}

func TestEveryRefusalHasItsStatusAndAHint(t *testing.T) {
	s := newService(t, false)
	for code, status := range api.Codes() {
		t.Run(string(code), func(t *testing.T) {
			s.setFaults("+code:" + string(code))
			dir := filepath.Join(t.TempDir(), "id")
			r := gatepass(t, inBitbucket, joinArgs(s, dir, "--retry=false")...)
			want := 3
			if status >= 500 || status == 429 {
				want = 4
			}
			if r.status != want {
				t.Errorf("exit status %d, want %d", r.status, want)
			}
			for _, text := range []string{"gatepass: error: " + code.Title(), string(code), "01JTESTJOIN", "gatepass: hint: "} {
				if !strings.Contains(r.stderr, text) {
					t.Errorf("stderr lacks %q:\n%s", text, r.stderr)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "key")); err == nil {
				t.Error("a refused join left a key")
			}
		})
	}
}

func TestNoRuleMatchedShowsWhatWasPresented(t *testing.T) {
	s := newService(t, false)
	s.setFaults("code:no_rule_matched")
	r := gatepass(t, inBitbucket, joinArgs(s, t.TempDir())...)
	for _, text := range []string{
		"branch_name                  feature/x   <- no rule accepts this",
		"deployment_environment_uuid  (nothing)   <- no rule accepts this",
		"workspace_uuid               {w}\n",
		"gatepassctl joins show 01JTESTJOIN",
	} {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("stderr lacks %q:\n%s", text, r.stderr)
		}
	}
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	tests := map[string]struct {
		fault  string
		status int
		says   string
		tries  int
	}{
		"an HTML page from a proxy":              {"+html:502", 4, "an HTML page", 2},
		"a gateway's own 429":                    {"+gateway", 4, "answers 429 with JSON that is no problem report", 2},
		"a connection that breaks":               {"+break", 4, "cannot be reached", 2},
		"the store is away":                      {"+busy:", 4, "store_unavailable", 2},
		"it asks to wait longer than we may":     {"+busy:100", 4, "store_unavailable", 1},
		"a firewall's 403":                       {"+html:403", 3, "in front of the service", 1},
		"another program":                        {"+html:200", 4, "not from the join service", 1},
		"a redirect":                             {"+redirect", 4, "redirects to https://elsewhere.example.com,", 1},
		"an answer without end":                  {"+huge", 4, "larger than 1 MiB", 1},
		"an expired certificate":                 {"+cert-expired", 1, "expired at", 1},
		"an SSH certificate for another key":     {"+cert-other-ssh-key", 1, "for another key", 1},
		"an X.509 certificate for another key":   {"+cert-other-tls-key", 1, "X.509 certificate is for another key", 1},
		"a host certificate":                     {"+cert-host-type", 1, "not a user certificate", 1},
		"no principals":                          {"+cert-no-principals", 1, "no principals", 1},
		"a plain key":                            {"+cert-plain-key", 1, "in place of a certificate", 1},
		"a certificate changed after signing":    {"+cert-forged", 1, "does not verify", 1},
		"a credential is missing":                {"+cert-missing", 1, "is missing", 1},
		"the authority is missing":               {"+cert-no-authority", 1, "authority is missing", 1},
		"signed by another than the authorities": {"+cert-other-authority", 1, "not among the authorities", 1},
		"an authority's X.509 certificate":       {"+cert-is-ca", 1, "is an authority's", 1},
	}
	s := newService(t, false)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "id")
			s.setFaults("")
			if r := gatepass(t, inBitbucket, joinArgs(s, dir)...); r.status != 0 {
				t.Fatalf("the first join failed: %s", r.stderr)
			}
			before, err := os.ReadFile(filepath.Join(dir, "key"))
			must(t, err)
			s.setFaults(test.fault)
			r := gatepass(t, inBitbucket, joinArgs(s, dir)...)
			if r.status != test.status || !strings.Contains(r.stderr, test.says) || !strings.Contains(r.stderr, "hint: ") {
				t.Errorf("exit status %d, want %d and %q:\n%s", r.status, test.status, test.says, r.stderr)
			}
			if tries := len(s.requests()); test.tries == 1 && tries != 1 || test.tries > 1 && tries < 2 {
				t.Errorf("%d requests were made", tries)
			}
			after, err := os.ReadFile(filepath.Join(dir, "key"))
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the earlier set was touched: %v", err)
			}
		})
	}
}

func TestRetriesSendTheSameRequest(t *testing.T) {
	s := newService(t, false)
	s.setFaults("busy:1", "break", "html:502")
	dir := t.TempDir()
	args := joinArgs(s, dir)
	args[len(args)-1] = "30s"
	r := gatepass(t, inBitbucket, args...)
	if r.status != 0 {
		t.Fatalf("exit status %d:\n%s", r.status, r.stderr)
	}
	bodies := s.requests()
	if len(bodies) != 4 {
		t.Fatalf("%d requests, want 4", len(bodies))
	}
	for _, body := range bodies[1:] {
		if !bytes.Equal(body, bodies[0]) {
			t.Error("a retry differs from the first request")
		}
	}
	var request api.JoinRequest
	must(t, json.Unmarshal(bodies[0], &request))
	if len(request.RetryKey) != 32 || request.JoinMethod != "bitbucket" || request.Client.Version == "" {
		t.Errorf("the request is %+v", request)
	}
	if !strings.Contains(r.stderr, "answers 503 store_unavailable; trying again in") {
		t.Errorf("nothing says what is waited for:\n%s", r.stderr)
	}
}

func TestTLSIsVerified(t *testing.T) {
	s := newService(t, true)
	r := gatepass(t, inBitbucket, joinArgs(s, t.TempDir())...)
	if r.status != 4 || !strings.Contains(r.stderr, "does not verify") || !strings.Contains(r.stderr, "GATEPASS_CA_FILE") {
		t.Errorf("exit status %d:\n%s", r.status, r.stderr)
	}
	if strings.Contains(r.stderr, "trying again") {
		t.Error("a certificate that does not verify was tried again")
	}
	plain := strings.Replace(s.URL, "https:", "http:", 1)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pemOf(s.Certificate().Raw), 0o600))
	env := map[string]string{"BITBUCKET_STEP_OIDC_TOKEN": idToken("x"), "GATEPASS_CA_FILE": ca}
	if r := gatepass(t, env, joinArgs(s, t.TempDir())...); r.status != 0 {
		t.Errorf("with the CA file: %s", r.stderr)
	}
	s.URL = plain
	if r := gatepass(t, env, joinArgs(s, t.TempDir())...); r.status != 4 {
		t.Errorf("http to a TLS port: exit status %d:\n%s", r.status, r.stderr)
	}
}

// TestTheClientLinksNoAdapter holds the client to the import rule.
func TestTheClientLinksNoAdapter(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	must(t, err)
	const module = "github.com/gatepass-ci/gatepass/"
	for _, path := range strings.Fields(string(out)) {
		own, ours := strings.CutPrefix(path, module)
		allowed := slices.Contains([]string{"pkg/api", "pkg/provider", "cmd/gatepass", "internal/cli", "internal/words", "internal/wait", "internal/client"}, own) || strings.HasPrefix(own, "internal/client/")
		if ours && !allowed || strings.Contains(path, "aws") {
			t.Errorf("the client links %s", path)
		}
	}
}
