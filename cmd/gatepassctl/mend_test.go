package main

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
)

// TestMend has resources stored that cannot be decoded, as after a return to an
// older version: they keep nobody from the others, and go or are replaced by name.
func TestMend(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	must(t, beginDirectory(data))
	command := func(input string, want cli.Exit, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		getenv := func(name string) string { return map[string]string{"EDITOR": "true"}[name] }
		if got := runIn(t.Context(), append(args, "--data", data), getenv, strings.NewReader(input), &stdout, &stderr); got != want {
			t.Fatalf("gatepassctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, want, &stdout, &stderr)
		}
		return stdout.String(), stderr.String()
	}
	bot := func(name string) string {
		return "kind: bot\nversion: v1\nmetadata: {name: " + name + "}\nspec: {roles: []}\n"
	}
	has := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("there is no %q in\n%s", want, text)
			}
		}
	}
	command(bot("one")+"---\n"+bot("two")+"---\n"+bot("good"), cli.ExitDone, "apply", "-f", "-")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE resources SET body = CAST('{"kind":"bot","later":1}' AS BLOB) WHERE name <> 'good'`); err != nil {
		t.Fatal(err)
	}

	out, errs := command("", cli.ExitFailed, "get", "bots", "-o", "name")
	has(out, "bot/good")
	has(errs, "bot/one is stored but not valid: apply it again, or remove it", "bot/two is stored but not valid")
	_, errs = command("", cli.ExitFailed, "edit", "bot/one")
	has(errs, "bot/one is stored but not valid")
	_, errs = command(bot("one"), cli.ExitFailed, "create", "-f", "-")
	has(errs, "bot/one exists already")
	_, errs = command(bot("other"), cli.ExitDone, "apply", "-f", "-")
	has(errs, "warning: bot/one is stored but not valid", "warning: bot/two")

	out, errs = command(bot("one"), cli.ExitDone, "apply", "-f", "-")
	has(out, "updated    bot/one")
	has(errs, "warning: bot/two")
	out, _ = command("", cli.ExitDone, "rm", "bot/two")
	has(out, "removed    bot/two")
	out, errs = command("", cli.ExitDone, "get", "bots", "-o", "name")
	if out != "bot/good\nbot/one\nbot/other\n" || errs != "" {
		t.Errorf("got %s%s", out, errs)
	}
}
