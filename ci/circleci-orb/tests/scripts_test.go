package tests

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// testScripts runs scripts.bats, each of whose tests is a subtest here.
func (w *world) testScripts(t *testing.T) {
	t.Parallel()
	bats := worldtest.Need(t, "bats")
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	for _, file := range []string{"scripts.bats", filepath.Join(root, "ci/circleci-orb/src/scripts")} {
		// What bats reads counts for go test's cache only if this program reads it, too.
		worldtest.Must(t, filepath.WalkDir(file, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				_, err = os.ReadFile(name)
			}
			return err
		}))
	}
	cmd := exec.CommandContext(t.Context(), bats, "--tap", "scripts.bats")
	// bats has a PATH of its own for what it needs; the steps have WORLD_PATH.
	cmd.Env = append(w.environment(t)[1:], "PATH=/usr/local/bin:/usr/bin:/bin", "WORLD_PATH="+w.path, "HOME="+t.TempDir(), "LC_ALL=C.UTF-8",
		"SCRIPTS="+filepath.Join(root, "ci/circleci-orb/src/scripts"), "RELEASES="+w.releases.URL, "DIST="+w.dist, "FILES="+w.files, "VERSION="+version, "CLIENT="+client(),
		"SERVER="+w.URL, "AUDIENCE="+audience, "HOST=127.0.0.1", "PORT="+w.port(t))
	out, err := cmd.CombinedOutput()
	passed := 0
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.Contains(line, "# skip"):
			t.Errorf("a test is skipped: %s", line)
		case strings.HasPrefix(line, "ok "):
			passed++
		}
	}
	if err != nil {
		t.Errorf("bats: %v\n%s", err, out)
	}
	if passed < 30 {
		t.Errorf("only %d tests ran:\n%s", passed, out)
	}
}
