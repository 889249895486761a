package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// On CircleCI a client without oneshot renews: each time with an ID token that
// was minted for it, since the service takes each of them once.
func TestRenewal(t *testing.T) {
	const audience = "https://join.example.com"
	w := newWorld(t)
	s := w.Serve
	dir := t.TempDir()
	s.Ctl("apply", "-f", write(t, dir, "rules.yaml", strings.Replace(
		strings.ReplaceAll(rules, "  max_joins: 2\n", ""), "    organization_id:", "    audience: "+audience+"\n    organization_id:", 1)))

	job := w.CircleCI(t)
	config := write(t, dir, "tbot.yaml", `
version: v2
proxy_server: `+strings.TrimPrefix(s.URL, "http://")+`
onboarding: {join_method: circleci, token: circleci, audience: "`+audience+`"}
credential_ttl: 30s
renewal_interval: 1s
outputs:
- type: identity
  destination: {type: directory, path: `+filepath.Join(dir, "id")+`}
`)
	client := exec.CommandContext(within(t, time.Minute), binary(t, "gatepass"), "start", "-c", config)
	client.Env = append(append(os.Environ(), "CIRCLE_OIDC_TOKEN="), job.Env...)
	var out strings.Builder
	client.Stdout, client.Stderr = &out, &out
	must(t, client.Start())

	seen := map[string]bool{}
	for deadline := time.Now().Add(30 * time.Second); len(seen) < 3 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if certificate, err := os.ReadFile(filepath.Join(dir, "id", "key-cert.pub")); err == nil {
			seen[string(certificate)] = true
		}
	}
	must(t, client.Process.Signal(syscall.SIGINT))
	_ = client.Wait()
	if len(seen) < 3 {
		t.Fatalf("%d certificates were written:\n%s", len(seen), &out)
	}
	if strings.Contains(out.String(), "eyJ") {
		t.Errorf("it prints an ID token:\n%s", &out)
	}
	if joins := s.Ctl("joins", "ls", "--format", "json"); strings.Count(joins, `"code": "ok"`) < 3 {
		t.Errorf("the service granted fewer than three joins:\n%s", joins)
	}
}
