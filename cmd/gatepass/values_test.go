package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
)

// values are what a variable of a pipeline can hold, and a branch's name put into one.
var values = map[string]string{
	"a line": "a\nb", "an end of a line": "a\n", "a return": "a\rb", "zero": "a\x00b", "an escape": "a\x1b[2Jb", "a C1 control": "a\u0090b", "a next line": "a\u0085b",
	"a line separator": "a\u2028b", "turned text": "a\u202eb", "no UTF-8": "a\xffb", "a quote": "a'b", "two quotes": "a\"b", "a backslash": "a\\", "a space": "a b",
	"a command": "$(touch planted)", "an old command": "`touch planted`", "a next command": "a; touch planted", "a section": "a\n[client]\npassword=x", "a host": "a\nHost *\n  ProxyCommand touch planted",
	"a key of YAML": "a: b", "a flag": "--help", "a comment": "a#b", "a percent": "%h%d", "a variable": "${HOME}", "a list": "a,b", "a long one": strings.Repeat("a", 5000),
}

// Whatever stands in an option, of every output: it is refused and nothing is written, or the files
// have as many lines as ever, are read as what they are, and run nothing.
func TestUglyValuesInEveryOption(t *testing.T) {
	s := newService(t, false)
	tried, written := 0, 0
	for _, kind := range credentials.Kinds() {
		formats := []string{""}
		options := []string{"destination"}
		if kind.Name == "identity" { // those of the place are the same for all
			options = append(options, "roles", "owner", "reader-user", "acls")
		}
		for _, option := range kind.Options {
			if option.Type != credentials.Switch {
				options = append(options, option.Name)
			}
			if option.Name == "format" {
				formats = option.Values
			}
		}
		for _, format := range formats {
			plain := tryValue(t, s, kind.Name, format, "", "")
			if plain.status != 0 || len(plain.files) == 0 {
				t.Fatalf("%s %s: exit status %d:\n%s", kind.Name, format, plain.status, plain.stderr)
			}
			for _, option := range options {
				for what, value := range values {
					got := tryValue(t, s, kind.Name, format, option, value)
					tried++
					if got.status == 0 {
						written++
					}
					got.compare(t, strings.Join([]string{kind.Name, format, option, what}, " "), option, plain)
				}
			}
		}
	}
	if tried < 500 || written < 100 {
		t.Errorf("%d values were tried, and %d written", tried, written)
	}
}

// tried is a join and the files that it wrote, by name.
type tried struct {
	result
	dir   string
	files map[string]string
}

func tryValue(t *testing.T, s *service, kind, format, option, value string) tried {
	t.Helper()
	above := t.TempDir()
	got := tried{dir: filepath.Join(above, "id"), files: map[string]string{}}
	if option == "destination" {
		got.dir = filepath.Join(above, "id"+value)
	}
	args := append([]string{"join", kind, "--server", s.URL, "--token", "t", "--destination", got.dir}, required[kind]...)
	if format != "" {
		args = append(args, "--format="+format)
	}
	if option != "" && option != "destination" {
		args = append(args, "--"+option+"="+value)
	}
	got.result = gatepass(t, inBitbucket, args...)
	for _, pattern := range []string{"*", "*/*"} {
		names, _ := filepath.Glob(filepath.Join(escapeGlob(got.dir), pattern))
		for _, name := range names {
			if raw, err := os.ReadFile(name); err == nil && !strings.Contains(name, "/.gatepass/") {
				below, _ := filepath.Rel(got.dir, name)
				got.files[below] = string(raw)
			}
		}
	}
	if found, _ := filepath.Glob(filepath.Join(above, "planted")); len(found) > 0 {
		t.Errorf("%s %s: a command ran", kind, option)
	}
	return got
}

// escapeGlob is a path that a pattern means literally.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

func (got tried) compare(t *testing.T, name, option string, plain tried) {
	t.Helper()
	if bad := strings.IndexFunc(got.stdout+got.stderr, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); bad >= 0 {
		t.Errorf("%s: moves a terminal: %q", name, got.stdout+got.stderr)
	}
	if got.status != 0 {
		if len(got.files) > 0 || !strings.Contains(got.stderr, "hint: ") {
			t.Errorf("%s: exit status %d, %d files:\n%s", name, got.status, len(got.files), got.stderr)
		}
		return
	}
	if lines, want := strings.Count(got.stdout, "\n"), strings.Count(plain.stdout, "\n"); lines != want {
		t.Errorf("%s: %d lines were printed, not %d:\n%s", name, lines, want, got.stdout)
	}
	for file, text := range got.files {
		switch {
		case file == "env":
			readEnv(t, name, got.dir, option)
		case file == "kubeconfig.yaml":
			readKubeconfig(t, name, text)
		case file == ".gatepass.json":
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: the manifest is %q", name, text)
			}
		case strings.HasSuffix(file, ".p12"), strings.HasPrefix(text, "-----BEGIN"):
		default:
			if was, ok := plain.files[file]; ok && option != "known-hosts" && strings.Count(text, "\n") != strings.Count(was, "\n") {
				t.Errorf("%s: %s has other lines:\n%s", name, file, text)
			}
		}
	}
}

// readEnv has a shell read the variables: there are those that are meant, and nothing runs.
func readEnv(t *testing.T, name, dir, option string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `. ./env && set`)
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PGSSLMODE=") {
		t.Errorf("%s: a shell reads env so: %v\n%s", name, err, out)
	}
	if _, err := os.Lstat(filepath.Join(dir, "planted")); err == nil {
		t.Errorf("%s: env runs a command", name)
	}
}

func readKubeconfig(t *testing.T, name, text string) {
	t.Helper()
	_, body, _ := strings.Cut(text, "\n") // after the comment
	var config struct {
		Clusters, Users, Contexts []struct{ Name string }
		Current                   string `json:"current-context"`
	}
	if err := json.Unmarshal([]byte(body), &config); err != nil || len(config.Clusters) != 1 || len(config.Users) != 1 || len(config.Contexts) != 1 || config.Current != config.Contexts[0].Name {
		t.Errorf("%s: the kubeconfig is read as %+v: %v", name, config, err)
	}
}
