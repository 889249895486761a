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
	if _, err := NewLogin(LoginConfig{}); err != nil {
		t.Error(err)
	}
	if _, err := NewLogin(LoginConfig{Path: "login"}); err == nil {
		t.Error("files in a folder that ssh_config cannot hold were accepted")
	}
}
