package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
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
		words := wordsOf(cmd)
		if len(words) > 0 {
			refused("a word after "+cmd.CommandPath(), append(path, make([]string, len(words))...)...)
		}
		check := func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || f.Value.Type() == "int" || f.Value.Type() == "duration" {
				return
			}
			flags++
			for _, empty := range []string{"", " "} {
				if f.Name == "output" && f.Value.Type() == "format" { // it takes some words only
					refused("", append(append(path, "--"+f.Name, empty), words...)...)
					continue
				}
				refused("--"+f.Name, append(append(path, "--"+f.Name, empty), words...)...)
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
