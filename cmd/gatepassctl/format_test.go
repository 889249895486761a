package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// recordedJoin is the join that the store of TestEveryCommandWritesJSON has.
const recordedJoin = "01JD2K6ZQ4V8T0N1M5R7W9X3YB"

// jsonRuns runs every command once, in this order, on one store. A command that is
// added has a line here, or a reason in withoutJSON.
var jsonRuns = [][]string{
	{"version"},
	{"schema"},
	{"new", "bitbucket", "--bot", "shop", "--issuer", "acme", "--workspace", "922e118c-f34f-4226-a897-0e0afbec553d",
		"--repository", "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c", "--branch", "main", "--audience", "https://join.example.com"},
	{"new", "circleci", "--bot", "shop", "--organization", "00000000-0000-0000-0000-000000000001",
		"--project", "00000000-0000-0000-0000-000000000003", "--origin", "github.com/acme/shop", "--audience", "https://join.example.com"},
	{"new", "github", "--bot", "shop", "--repository", "acme/shop", "--environment", "production", "--audience", "https://join.example.com"},
	{"man", "man1"},
	{"apply", "-f", "rules.yaml"},
	{"create", "-f", "other.yaml"},
	{"diff", "-f", "rules.yaml"},
	{"get", "token"},
	{"get", "token/example-bot"},
	{"edit", "bot/example"},
	{"keys", "import", "--issuer", "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", "jwks.json"},
	{"keys", "ls"},
	{"keys", "refresh"},
	{"status"},
	{"joins", "ls"},
	{"joins", "show", recordedJoin},
	{"joins", "export"},
	{"explain", "--token", "example-bot", "--claims", "claims.json"},
	{"explain", "--last", recordedJoin},
	{"test", "-f", "cases.yaml"},
	{"ca", "export", "--type", "ssh-user"},
	{"ca", "export", "--type", "ssh-user", "--fingerprint"},
	{"ca", "export", "--type", "x509-identity"},
	{"ca", "export", "--type", "jwt"},
	{"ca", "rotate"},
	{"ca", "rotate", "--type", "ssh-user", "--phase", "1"},
	{"host", "sign", "--principals", "web-1.example.com", "host.pub"},
	{"host", "setup", "--logins", "deploy"},
	{"lock", "bot", "example"},
	{"lock", "token", "example-bot"},
	{"lock", "role", "deployer"},
	{"lock", "all", "--yes"},
	{"lock", "ls"},
	{"unlock", "bot", "example"},
	{"unlock", "token", "example-bot"},
	{"unlock", "role", "deployer"},
	{"unlock", "all"},
	{"lock", "bot", "example"},
	{"unlock", "lock", "bot-example"},
	{"revoke", "join", recordedJoin},
	{"revoke", "bot", "example"},
	{"revoke", "token", "example-bot"},
	{"revoke", "serial", "5577006791947779410", "--type", "ssh-user", "--yes"},
	{"revoke", "all", "--yes"},
	{"revoke", "ls"},
	{"revoke", "export", "--krl", "revoked.krl"},
	{"rm", "token/example-bot"},
}

// withoutJSON are commands that do not print a result.
var withoutJSON = map[string]string{
	"serve":      "runs until it is stopped, and logs JSON lines",
	"demo":       "is told to people",
	"completion": "prints a script for a shell",
	"verify":     "wants a signed release: test/release makes one, and reads its JSON",
}

func TestEveryCommandWritesJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	writeJSONFixtures(t)
	online, err := issuertest.New(issuertest.Config{})
	must(t, err)
	t.Cleanup(func() { _ = online.Close() })
	must(t, os.WriteFile("ca.pem", online.CA(), 0o600))
	env := map[string]string{
		"GATEPASS_DATA": "data", "EDITOR": "true", "VISUAL": "true",
		"GATEPASS_PRIVATE_ISSUERS": online.Host(), "GATEPASS_ISSUER_CA": "ca.pem",
	}
	seen := map[string]bool{}
	must(t, os.WriteFile("circle.yaml", []byte(strings.ReplaceAll(jsonCircle, "ISSUER", online.CircleCIURL())), 0o600))
	for _, args := range append(jsonRuns, []string{"apply", "-f", "circle.yaml"}, []string{"keys", "refresh", "--issuer", online.CircleCIURL()}) {
		var out, errs bytes.Buffer
		code := runIn(t.Context(), append(args, "--format", "json"), func(name string) string { return env[name] }, strings.NewReader(""), &out, &errs)
		seen[commandOf(args)] = true
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			// A verdict may be that a job is refused.
			if code != cli.ExitDone && args[0] != "explain" {
				t.Errorf("exit code %d: %s", code, &errs)
			}
			if err := checkJSON(out.Bytes()); err != nil {
				t.Errorf("%v:\n%s%s", err, &out, &errs)
			}
		})
	}
	for _, path := range slices.Sorted(maps.Keys(leaves(root(&ctl.Env{Env: cli.Env{Name: "gatepassctl", Getenv: os.Getenv}})))) {
		if !seen[path] && withoutJSON[path] == "" {
			t.Errorf("gatepassctl %s is not run: add it to jsonRuns, or say in withoutJSON why it prints no JSON", path)
		}
	}
}

// checkJSON wants one value, or several as joins export writes them.
func checkJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		var v any
		switch err := dec.Decode(&v); {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// commandOf is the command that a command line names.
func commandOf(args []string) string {
	cmd, _, err := root(&ctl.Env{Env: cli.Env{Name: "gatepassctl", Getenv: os.Getenv}}).Find(args)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), "gatepassctl ")
}

// leaves are the commands that do something, by what is typed after gatepassctl.
func leaves(cmd *cobra.Command) map[string]bool {
	all := map[string]bool{}
	for _, sub := range cmd.Commands() {
		maps.Copy(all, leaves(sub))
	}
	if len(cmd.Commands()) == 0 {
		all[strings.TrimPrefix(cmd.CommandPath(), "gatepassctl ")] = true
	}
	return all
}

func writeJSONFixtures(t *testing.T) {
	t.Helper()
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	must(t, err)
	must(t, writeFixtures(".", issuer))
	public, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := ssh.NewPublicKey(public)
	must(t, err)
	for name, text := range map[string]string{
		"rules.yaml":  jsonRules,
		"other.yaml":  "{kind: bot, version: v1, metadata: {name: other}, spec: {roles: []}}",
		"claims.json": `{"iss": "x"}`,
		"cases.yaml":  "cases: [{name: nobody, token: example-bot, want: no_rule_matched}]",
		"host.pub":    string(ssh.MarshalAuthorizedKey(key)),
	} {
		must(t, os.WriteFile(name, []byte(text), 0o600))
	}
	must(t, beginDirectory("data"))
	s, err := sqlite.Open(t.Context(), filepath.Join(".", "data"), sqlite.Options{MustExist: true})
	must(t, err)
	defer s.Close()
	must(t, s.Record(context.WithoutCancel(t.Context()), store.Record{
		JoinID: recordedJoin, Time: time.Now(), Code: "no_rule_matched", Token: "example-bot", Bot: "example", Method: "bitbucket",
		IDToken: strings.Repeat("0", 64), Claims: map[string]any{"iss": "x", "iat": json.Number("1")},
	}, time.Now().Add(time.Hour)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const jsonRules = `
{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy]}}}
---
{kind: bot, version: v1, metadata: {name: example}, spec: {roles: [deployer]}}
---
kind: token
version: v2
metadata: {name: example-bot}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: https://join.example.com
    allow: [{workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}", branch_name: main}]
`

const jsonCircle = `
kind: token
version: v2
metadata: {name: circle-bot}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: other
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    issuer: ISSUER
    allow: [{project_id: 00000000-0000-0000-0000-000000000003, vcs_origin: github.com/acme/shop}]
`
