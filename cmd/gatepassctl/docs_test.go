package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
)

// TestExplainPage runs the commands of docs/explain.md on the files that it shows.
func TestExplainPage(t *testing.T) {
	data, err := os.ReadFile("../../docs/explain.md")
	must(t, err)
	t.Chdir(t.TempDir())
	must(t, os.Mkdir("rules", 0o700))
	files := []string{"rules/shop.yaml", "claims.json", "cases.yaml", "wrong.yaml", "slips.yaml"} // in the order of the page
	ran := 0
	parts := strings.Split("\n"+string(data), "\n```")
	for i := 1; i+1 < len(parts); i += 2 {
		info, text, _ := strings.Cut(parts[i], "\n")
		switch {
		case info != "":
			must(t, os.WriteFile(files[0], []byte(text), 0o600))
			files = files[1:]
		case strings.HasPrefix(text, "$ gatepassctl "):
			ran++
			command, want, _ := strings.Cut(text, "\n")
			checkOutput(t, strings.Fields(command)[2:], want)
		}
	}
	if ran != 4 || len(files) > 0 {
		t.Errorf("%d commands were run, and there are no files for %v", ran, files)
	}
}

func checkOutput(t *testing.T, args []string, want string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &ctl.Env{Env: cli.Env{Name: "gatepassctl", Getenv: func(string) string { return "" }, In: strings.NewReader(""), Out: &out, Err: &errs,
		Now: func() time.Time { return time.Unix(1767225600, 0) }}}
	env.Execute(t.Context(), root(env), args) // a refused job is an error
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(out.String(), "\n"), "\n") {
		lines = append(lines, strings.TrimRight(line, " ")) // a table's last column is padded
	}
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("gatepassctl %s prints\n%s\n%sand docs/explain.md has\n%s", strings.Join(args, " "), got, &errs, want)
	}
}
