package golden_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/test/golden"
)

// TestCommands holds both programs to their commands, flags and environment variables.
func TestCommands(t *testing.T) {
	a := golden.Open(t, "commands")
	for _, program := range []string{"gatepass", "gatepassctl"} {
		var out bytes.Buffer
		commandText(t, &out, worldtest.Binary(t, program), program)
		a.Compare(program+".txt", out.Bytes())
	}
	a.Compare("environment.txt", environment(t))
}

// Parts of the --help of a command.
var (
	helpSection = regexp.MustCompile(`^([A-Z][A-Za-z ]+):$`)
	helpCommand = regexp.MustCompile(`^  ([a-z][a-z0-9-]*) `)
	helpFlag    = regexp.MustCompile(`^ +(?:(-[A-Za-z]), )?(--[a-z0-9-]+)(.*)$`)
	helpDefault = regexp.MustCompile(`\(default [^()]*(\([^()]*\))?[^()]*\)`)
)

// commandText tells of a command and those below it: its aliases, and its flags with their
// shorthands and defaults.
func commandText(t *testing.T, out *bytes.Buffer, program, path string) {
	t.Helper()
	help := helpOf(t, program, path)
	fmt.Fprintf(out, "%s\n", path)
	for _, line := range help["Aliases"] {
		if strings.TrimSpace(line) != "" {
			fmt.Fprintf(out, "  aliases %s\n", strings.TrimSpace(line))
		}
	}
	var flags []string
	for _, section := range []string{"Flags", "Global Flags"} {
		for _, line := range help[section] {
			if m := helpFlag.FindStringSubmatch(line); m != nil && m[2] != "--help" {
				flags = append(flags, strings.Join(strings.Fields(strings.Join([]string{" ", m[2], m[1], helpDefault.FindString(m[3])}, " ")), " "))
			}
		}
	}
	slices.Sort(flags)
	for _, flag := range flags {
		fmt.Fprintf(out, "  %s\n", flag)
	}
	for _, line := range help["Available Commands"] {
		if m := helpCommand.FindStringSubmatch(line); m != nil && m[1] != "help" {
			commandText(t, out, program, path+" "+m[1])
		}
	}
}

// helpOf is the help of a command, by the headings of its sections.
func helpOf(t *testing.T, program, path string) map[string][]string {
	t.Helper()
	args := append(strings.Fields(path)[1:], "--help")
	text, err := exec.CommandContext(t.Context(), program, args...).Output()
	if err != nil {
		t.Fatalf("%s --help: %v", path, err)
	}
	sections, section := make(map[string][]string), ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpSection.FindStringSubmatch(line); m != nil {
			section = m[1]
			continue
		}
		sections[section] = append(sections[section], line)
	}
	return sections
}

// environment are the names of environment variables in the source of the product.
func environment(t *testing.T) []byte {
	t.Helper()
	root, err := golden.Root()
	must(t, err)
	name := regexp.MustCompile(`"(GATEPASS_[A-Z_]+)`)
	found := make(map[string]bool)
	for _, part := range []string{"cmd", "functions", "internal", "pkg"} {
		must(t, filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && strings.HasSuffix(entry.Name(), "test") {
				return skipDirectory(err)
			}
			if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			source, err := os.ReadFile(path)
			for _, m := range name.FindAllSubmatch(source, -1) {
				found[string(m[1])] = true
			}
			return err
		}))
	}
	return []byte(strings.Join(slices.Sorted(maps.Keys(found)), "\n") + "\n")
}

// skipDirectory skips a folder unless there is an error.
func skipDirectory(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

// administration are commands of gatepassctl, in their order, on one data directory. JOIN is
// the id of a join that was granted.
var administration = []string{
	"version --format json",
	"apply -f rules.yaml --format json",
	"apply -f rules.yaml",
	"diff -f changed.yaml --format json",
	"diff -f changed.yaml",
	"get all",
	"get all -o json",
	"get bot/example -o yaml",
	"get all -o name",
	"keys ls",
	"keys ls --format json",
	"status",
	"status --format json",
	"joins ls",
	"joins ls --format json",
	"joins show JOIN",
	"joins show JOIN --format json",
	"joins show JOIN --format yaml",
	"joins export",
	"explain --last JOIN",
	"explain --last JOIN --format json",
	"explain --claims claims.json --format json",
	"explain --claims other.json",
	"test -f cases.yaml --format json",
	"test -f cases.yaml",
	"lock bot example --message why --format json",
	"lock ls --format json",
	"lock ls",
	"unlock bot example --format json",
	"revoke join JOIN --reason why --format json",
	"revoke ls --format json",
	"revoke ls",
	"ca export --type ssh-user",
	"ca export --type x509 --format json",
	"ca export --type ssh-host --hosts *.example.com",
	"ca export --type jwt",
	"ca rotate --type ssh-user --phase 1 --format json",
	"ca rotate --format json",
	"ca rotate",
	"new bitbucket --non-interactive --bot shop --workspace {922e118c-f34f-4226-a897-0e0afbec553d} --repository {1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c} --issuer https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc --audience https://join.example.com --logins deploy --branch main --expires 2100-01-01",
	"new circleci --non-interactive --bot shop --organization 00000000-0000-0000-0000-000000000001 --project 00000000-0000-0000-0000-000000000003 --context 00000000-0000-0000-0000-000000000002 --origin github.com/acme/shop --ref refs/heads/main --audience https://join.example.com --logins deploy --expires 2100-01-01",
	"rm lock/nobody",
	"rm token/example-bot --format json",
	"get pod",
	"aply",
	"explain --claims missing.json --format json",
}

// TestAdministration compares what gatepassctl prints, and its exit codes.
func TestAdministration(t *testing.T) {
	a := golden.Open(t, "admin")
	dir := t.TempDir()
	rules := string(a.Input("../outputs/rules.yaml"))
	for name, content := range map[string]string{
		"rules.yaml": rules, "changed.yaml": strings.Replace(rules, "logins: [deploy]", "logins: [deploy, more]", 1),
		"cases.yaml": string(a.Input("cases.yaml")), "claims.json": string(a.Input("claims.json")),
		"other.json": strings.Replace(string(a.Input("claims.json")), issuertest.RepositoryUUID, "{2de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}", 1),
	} {
		worldtest.Write(t, dir, name, content)
	}
	w := worldtest.Local(t)
	w.Apply(rules)
	w.Join(t, "example-bot", "identity")
	join := regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`).FindString(w.Ctl("joins", "ls"))
	var out bytes.Buffer
	for _, line := range administration {
		cmd := w.CtlCommand(strings.Fields(strings.ReplaceAll(line, "JOIN", join))...)
		cmd.Dir = dir
		ran := worldtest.Run(t, cmd)
		fmt.Fprintf(&out, "$ gatepassctl %s\nexit status %d\nstdout:\n%sstderr:\n%s", line, ran.Status,
			normal(ran.Stdout, w.URL, filepath.Dir(w.Serve.Data)), normal(ran.Stderr, w.URL, filepath.Dir(w.Serve.Data)))
	}
	a.Compare("output.txt", out.Bytes())
}
