package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// An unset variable of a script is an empty word. Whatever name or flag of whatever command
// is empty, nothing is done.
func TestNoCommandTakesAnEmptyValue(t *testing.T) {
	t.Chdir(t.TempDir())
	writeJSONFixtures(t)
	run := func(args ...string) (cli.Exit, string) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var out bytes.Buffer
		getenv := func(name string) string { return map[string]string{"GATEPASS_DATA": "data", "EDITOR": "true"}[name] }
		return runIn(ctx, args, getenv, strings.NewReader(""), &out, &out), out.String()
	}
	for _, args := range [][]string{{"apply", "-f", "rules.yaml"}, {"lock", "bot", "example"}} {
		if code, out := run(args...); code != cli.ExitDone {
			t.Fatal(out)
		}
	}
	before := stored(t, "data")
	refused := func(of string, args ...string) {
		t.Helper()
		code, out := run(args...)
		if code != cli.ExitUsage || of != "" && !strings.Contains(out, of+" is empty") {
			t.Errorf("gatepassctl %q: exit code %d, and not a word of %s:\n%s", args, code, of, out)
		}
		if after := stored(t, "data"); after != before {
			t.Fatalf("gatepassctl %q changed the store from\n%s\nto\n%s", args, before, after)
		}
	}
	tree := root(&ctl.Env{Env: cli.Env{Name: "gatepassctl"}})
	commands, flags := leaves(tree), 0
	for line := range commands {
		path := strings.Fields(line)
		cmd, _, err := tree.Find(path)
		must(t, err)
		for _, empty := range []string{"", " \t"} {
			refused("", append(path, empty)...)
			refused("", append(path, "bot/example", empty)...)
			refused("", append(path, empty, "bot/example")...)
		}
		needed := wordsOf(cmd)
		if len(needed) > 0 {
			refused("a word after "+cmd.CommandPath(), append(path, make([]string, len(needed))...)...)
		}
		check := func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || f.Value.Type() == "int" || f.Value.Type() == "duration" {
				return
			}
			flags++
			for _, empty := range []string{"", " "} {
				if f.Name == "output" && f.Value.Type() == "format" { // it takes some words only
					refused("", append(append(path, "--"+f.Name, empty), needed...)...)
					continue
				}
				refused("--"+f.Name, append(append(path, "--"+f.Name, empty), needed...)...)
			}
		}
		cmd.LocalFlags().VisitAll(check)
		cmd.InheritedFlags().VisitAll(check)
	}
	if len(commands) < 40 || flags < 150 {
		t.Errorf("only %d commands and %d flags were tried", len(commands), flags)
	}
}

// wordsOf are as many words as a command wants.
func wordsOf(cmd *cobra.Command) []string {
	for n := range 3 {
		if words := strings.Fields(strings.Repeat("x ", n)); cmd.Args == nil || cmd.Args(cmd, words) == nil {
			if n == 0 && cmd.Args != nil && cmd.Args(cmd, []string{"x"}) == nil {
				continue // it takes any number: one
			}
			return words
		}
	}
	return nil
}

// stored is all that administrators change of a store, as text.
func stored(t *testing.T, data string) string {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(".", data), sqlite.Options{MustExist: true})
	must(t, err)
	defer s.Close()
	var all []any
	for _, kind := range ctl.Kinds() {
		resources, err := s.List(t.Context(), kind)
		must(t, err)
		for _, r := range resources {
			all = append(all, string(kind)+"/"+r.Resource.Name(), r.Revision)
		}
	}
	revocations, err := s.Revocations(t.Context())
	must(t, err)
	sets, err := s.KeySets(t.Context())
	must(t, err)
	text, err := json.Marshal(append(all, revocations, sets))
	must(t, err)
	return string(text)
}

// A variable that is set and empty is no leave to use another store.
func TestAnEmptyVariableChoosesNoStore(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, beginDirectory("data"))
	for name, env := range map[string]map[string]string{
		"stack": {"GATEPASS_STACK": "", "GATEPASS_DATA": "data"},
		"data":  {"GATEPASS_DATA": " "},
		"none":  {},
	} {
		var out bytes.Buffer
		lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
		c := &ctl.Env{Env: cli.Env{Name: "gatepassctl", Getenv: func(name string) string { return env[name] }, In: strings.NewReader(""), Out: &out, Err: &out, Now: time.Now}, Lookup: lookup}
		if code := c.Execute(t.Context(), root(c), []string{"lock", "all", "--yes"}); code != cli.ExitUsage {
			t.Errorf("%s: exit code %d: %s", name, code, &out)
		}
	}
	s, err := sqlite.Open(t.Context(), "data", sqlite.Options{MustExist: true})
	must(t, err)
	defer s.Close()
	if locks, err := store.Locks(t.Context(), s); err != nil || len(locks) > 0 {
		t.Errorf("%v %v", locks, err)
	}
}

// nasty is what a job can have in its claims, and an issuer in its answers.
const nasty = "\x1b[2J\x1b]0;title\x07\r\u009b\u0090\u0085\u202e\u2066\u200b\U000e0041\x7f\t\v\u2028\nFORGED"

// Whatever a job or an issuer chose, every command prints it in every format without a
// character that moves a terminal, and no text of theirs begins a line. JSON and YAML say
// what was there.
func TestNothingThatAStrangerChoseMovesATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	writeJSONFixtures(t)
	issuer := "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	plantNasty(t, issuer)
	run := func(args ...string) string {
		var out bytes.Buffer
		getenv := func(name string) string { return map[string]string{"GATEPASS_DATA": "data"}[name] }
		runIn(t.Context(), args, getenv, strings.NewReader(""), &out, &out)
		return out.String()
	}
	run("apply", "-f", "rules.yaml")
	must(t, os.WriteFile("nasty.json", []byte(`{"iss": "`+issuer+`", "aud": `+words.YAMLString(nasty)+`, "sub": "x", "iat": 1, "exp": 2, "workspaceUuid": "x", "repositoryUuid": "x", "stepUuid": "x", "branchName": `+words.YAMLString(nasty)+`}`), 0o600))
	for _, args := range [][]string{
		{"joins", "ls"}, {"joins", "show", nastyJoin}, {"joins", "export"}, {"explain", "--last", nastyJoin}, {"explain", "--token", "example-bot", "--claims", "nasty.json"},
		{"keys", "ls"}, {"status"}, {"revoke", "ls"}, {"revoke", "join", nastyJoin, "--dry-run", "--reason", nasty}, {"lock", "bot", "example", "--message", "\u202e\u2066\u200b"},
		{"lock", "ls"}, {"get", "all"}, {"get", "lock/bot-example"}, {"revoke", "bot", nasty}, {"get", "bot/" + nasty},
	} {
		for _, format := range []string{"text", "json", "yaml"} {
			out := run(append(args, "--format", format)...)
			for _, r := range out {
				if r != '\n' && r != '\t' && !words.Harmless(r) {
					t.Errorf("gatepassctl %q --format %s prints %q:\n%q", args, format, r, out)
					break
				}
			}
			if strings.Contains(out, "\nFORGED") {
				t.Errorf("gatepassctl %q --format %s lets a text begin a line:\n%s", args, format, out)
			}
		}
	}
	var asJSON, asYAML []struct {
		Claims map[string]any
	}
	must(t, json.Unmarshal([]byte(run("joins", "ls", "--bot", "nasty", "--format", "json")), &asJSON))
	must(t, yaml.Unmarshal([]byte(run("joins", "ls", "--bot", "nasty", "--format", "yaml")), &asYAML))
	for format, records := range map[string][]struct{ Claims map[string]any }{"json": asJSON, "yaml": asYAML} {
		if len(records) != 1 || records[0].Claims[nasty] != nasty {
			t.Errorf("%s has %q", format, records)
		}
	}
}

const nastyJoin = "01JD2K6ZQ4V8T0N1M5R7W9X3YC"

// plantNasty stores a record, a failure of an issuer and a revocation with nasty in them.
func plantNasty(t *testing.T, issuer string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), "data", sqlite.Options{MustExist: true})
	must(t, err)
	defer s.Close()
	now := time.Now()
	must(t, s.Record(t.Context(), store.Record{
		JoinID: nastyJoin, Time: now, Code: "no_rule_matched", Detail: nasty, Token: "example-bot", Bot: "nasty", Method: "bitbucket",
		IDToken: strings.Repeat("0", 64), Client: &api.ClientInfo{Version: nasty, OS: nasty, Arch: nasty},
		Claims: map[string]any{nasty: nasty, "branchName": nasty, "list": []any{nasty}, "iss": issuer, "aud": nasty, "sub": nasty,
			"iat": now.Unix(), "exp": now.Unix() + 60, "workspaceUuid": nasty, "repositoryUuid": nasty, "stepUuid": nasty},
		Mismatches:  []store.RuleMismatch{{Fields: []store.FieldMismatch{{Field: "branch_name", Want: "main", Got: []string{nasty}}}}},
		Credentials: []store.RecordCredential{{Name: nasty, Type: "ssh", Serial: "1", Subject: nasty, Principals: []string{nasty}, ExpiresAt: now.Add(time.Hour)}},
	}, now.Add(time.Hour)))
	must(t, s.KeySetFailed(t.Context(), issuer, now, nasty))
	_, err = s.Revoke(t.Context(), []store.Revocation{{ID: "01JD2K6ZQ4V8T0N1M5R7W9X3YD", At: now, By: nasty, Reason: nasty,
		Certificates: []store.RevokedCertificate{{Authority: "ssh-user", Serial: "7", ExpiresAt: now.Add(time.Hour)}}}})
	must(t, err)
}
