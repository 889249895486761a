package destination_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// TestDirectoriesOfOtherUsers gives a directory away, which only root can do;
// for anyone else the root directory of the machine stands in.
func TestDirectoriesOfOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := write("/", "new", nil); err == nil {
			t.Error("wrote to a directory of root's")
		}
		return
	}
	foreign := t.TempDir()
	real := t.TempDir()
	if err := os.Symlink(real, filepath.Join(foreign, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(foreign, 12345, -1); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		foreign:                              "belongs to another user",
		filepath.Join(foreign, "link"):       "symbolic link",
		filepath.Join(foreign, "link", "id"): "symbolic link",
	}
	for path, want := range tests {
		if err := write(path, "new", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
	if _, err := destination.Remove(context.Background(), filepath.Join(foreign, "link")); err == nil {
		t.Error("logout followed a planted link")
	}
	if left, _ := os.ReadDir(real); len(left) != 0 {
		t.Errorf("written through the link: %v", left)
	}
}
