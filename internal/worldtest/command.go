package worldtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// built is the folder of the two commands; made is its path once it is there.
var (
	built = sync.OnceValues(build)
	made  string
)

// Main runs the tests of a package, then what cleans up after them, and removes what
// was built for them. Call it in TestMain.
func Main(m *testing.M, cleanUp ...func()) {
	code := m.Run()
	for _, f := range cleanUp {
		f()
	}
	if shared != nil {
		shared.Stop()
	}
	if made != "" {
		_ = os.RemoveAll(made)
	}
	os.Exit(code)
}

func build() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "gatepass-test-bin-")
	if err != nil {
		return "", err
	}
	made = dir
	if err := watch(root); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "./cmd/gatepass", "./cmd/gatepassctl")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the commands: %w\n%s", err, out)
	}
	return dir, nil
}

// watch looks at all of the source, so that go test, which keeps the results of tests
// that read the same files, runs those again that only run what is built of it.
func watch(root string) error {
	for _, part := range []string{"cmd", "functions", "internal", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	return nil
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

// Binary is the path of gatepass or gatepassctl, built from this source.
func Binary(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := built()
	Must(tb, err)
	return filepath.Join(dir, name)
}

// Must ends the test if err is not nil.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Need finds a program. Without it a test is skipped, or in CI fails.
func Need(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		tb.Fatalf("%s is missing: run make tools", name)
	}
	if err != nil {
		tb.Skipf("skipped: %s is missing; run make tools", name)
	}
	return path
}

// Output runs a command that must succeed, and returns what it wrote.
func Output(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), name, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Write writes a file of a test and returns its path.
func Write(tb testing.TB, dir, name, content string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	Must(tb, os.WriteFile(path, []byte(content), 0o600))
	return path
}
