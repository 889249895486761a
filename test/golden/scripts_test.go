package golden_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/test/golden"
)

// programs are those of ours that a script may run.
var programs = []string{"gatepass", "gatepassctl"}

// TestScripts lists every command that a script test runs, with the exit code that it must
// end with: a command that is dropped, or may end otherwise, shows here. Scripts may move;
// they are listed by the name of the file alone.
func TestScripts(t *testing.T) {
	a := golden.Open(t, "scripts")
	root, err := golden.Root()
	must(t, err)
	var scripts []string
	must(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (entry.Name() == "golden" || entry.Name() == "fuzz" || path != root && strings.HasPrefix(entry.Name(), ".")) {
			return skipDirectory(err)
		}
		if !entry.IsDir() && strings.HasSuffix(path, ".txt") && strings.Contains(path, "/testdata/") {
			scripts = append(scripts, path)
		}
		return nil
	}))
	var all []string
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		must(t, err)
		if commands := scriptCommands(string(text)); len(commands) > 0 {
			all = append(all, fmt.Sprintf("=== %s\n%s", filepath.Base(path), commands))
		}
	}
	slices.Sort(all)
	if len(all) == 0 {
		t.Fatal("there are no scripts")
	}
	a.Compare("commands.txt", []byte(strings.Join(all, "")))
}

// scriptCommands are the lines of a script that run a program of ours, each with its exit
// code: "!" is any but 0, "?" any.
func scriptCommands(text string) []byte {
	var out bytes.Buffer
	script, _, _ := strings.Cut("\n"+text, "\n-- ") // where its files begin
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") || !slices.ContainsFunc(words, func(w string) bool { return slices.Contains(programs, w) }) {
			continue
		}
		code, conditions := "0", ""
		for len(words) > 0 && strings.HasPrefix(words[0], "[") {
			conditions += words[0] + " "
			words = words[1:]
		}
		if words[0] == "!" || words[0] == "?" {
			code, words = words[0], words[1:]
		}
		if words[0] == "status" && len(words) > 1 {
			code, words = words[1], words[2:]
		}
		if words[0] == "exec" {
			words = words[1:]
		}
		fmt.Fprintf(&out, "%s%s: %s\n", conditions, code, strings.Join(words, " "))
	}
	return out.Bytes()
}

// TestAreas: every folder of golden files has a package that compares it, which says so.
func TestAreas(t *testing.T) {
	folders, err := os.ReadDir("testdata")
	must(t, err)
	found := make(map[string]bool)
	for _, folder := range folders {
		found[folder.Name()] = true
		if golden.Areas[folder.Name()] == "" {
			t.Errorf("golden.Areas does not say who compares testdata/%s", folder.Name())
		}
	}
	root, err := golden.Root()
	must(t, err)
	for area, pkg := range golden.Areas {
		if !found[area] {
			t.Errorf("there is no testdata/%s", area)
		}
		tests, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		must(t, err)
		if !slices.ContainsFunc(tests, func(path string) bool {
			source, err := os.ReadFile(path)
			return err == nil && bytes.Contains(source, []byte(fmt.Sprintf("golden.Open(t, %q)", area)))
		}) {
			t.Errorf("no test of %s opens the area %s", pkg, area)
		}
	}
}
