// Package golden compares what the program makes with files that were made from it
// once: stored bytes, answers, files and commands that others rely on. A difference
// is a change of format, and is meant or a mistake; it is never an accident.
//
// The files are in testdata, one folder for each area. `go test ./test/golden/...
// ./internal/server -update` writes them again from today's code.
package golden

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Areas are the folders below testdata, each with the package whose tests compare it.
var Areas = map[string]string{
	"admin":    "test/golden",
	"api":      "internal/server",
	"commands": "test/golden",
	"outputs":  "test/golden",
	"rules":    "test/golden",
	"scripts":  "test/golden",
	"stores":   "test/golden",
}

// Area is one folder of golden files, compared by one test.
type Area struct {
	t    testing.TB
	dir  string
	seen map[string]bool
}

// Open returns an area. When the test ends without a failure, a file of the area that
// was neither compared nor read is an error: whatever made it is no longer tested.
func Open(t testing.TB, area string) *Area {
	t.Helper()
	if Areas[area] == "" {
		t.Fatalf("golden.Areas has no area %q", area)
	}
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	a := &Area{t: t, dir: filepath.Join(root, "test/golden/testdata", area), seen: make(map[string]bool)}
	t.Cleanup(func() {
		if !t.Failed() && !t.Skipped() && !strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
			a.orphans()
		}
	})
	return a
}

// Root is the folder of the module that the working directory is in.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not in a module: no go.mod")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// Input reads a file of the area that is input and is never written.
func (a *Area) Input(name string) []byte {
	a.t.Helper()
	a.seen[name] = true
	content, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		a.t.Fatal(err)
	}
	return content
}

// Compare compares got with the golden file of this name, byte for byte.
func (a *Area) Compare(name string, got []byte) {
	a.t.Helper()
	if a.seen[name] {
		a.t.Errorf("golden file %s is compared twice", name)
	}
	a.seen[name] = true
	path := filepath.Join(a.dir, name)
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			a.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		a.t.Errorf("no golden file: %v", err)
		return
	}
	if !bytes.Equal(got, want) {
		a.t.Errorf("%s differs from its golden file: %s", name, difference(want, got))
	}
}

// difference shows the first line that differs, from shortly before where it does.
func difference(want, got []byte) string {
	w, g := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	if i == len(w) || i == len(g) {
		return fmt.Sprintf("it has %d lines, want %d", len(g), len(w))
	}
	at := 0
	for at < len(w[i]) && at < len(g[i]) && w[i][at] == g[i][at] {
		at++
	}
	show := func(line string) string { return line[max(0, at-60):min(len(line), at+200)] }
	return fmt.Sprintf("line %d from column %d\ngot:  %s\nwant: %s", i+1, max(0, at-60), show(g[i]), show(w[i]))
}

// orphans reports the files that nothing compared; -update removes them.
func (a *Area) orphans() {
	err := filepath.WalkDir(a.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(a.dir, path)
		if err != nil || a.seen[name] {
			return err
		}
		if *update {
			return os.Remove(path)
		}
		a.t.Errorf("nothing compares golden file %s", path)
		return nil
	})
	if err != nil {
		a.t.Error(err)
	}
}
