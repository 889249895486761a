package credentials

import (
	"os"
	"path/filepath"
	"testing"
)

// A login without files does not care where it is made.
func TestLoginWithoutFilesInAStrangeFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a"b`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if _, err := wanted(t, Login(), Memory).Output(); err != nil {
		t.Error(err)
	}
	if _, err := wanted(t, Login(), "login").Output(); err == nil {
		t.Error("files in a folder that ssh_config cannot hold were accepted")
	}
}

// wanted is a wish with a destination.
func wanted(t *testing.T, kind Kind, destination string) *Wish {
	t.Helper()
	w := NewWish(kind)
	if err := w.Set(optionDestination, destination); err != nil {
		t.Fatal(err)
	}
	return w
}
