package destination_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// A clone has links that were committed: nothing is written through one, though it is in
// a directory of ours. Above the clone links are the machine's, and followed.
func TestNoLinkIsFollowedWithin(t *testing.T) {
	for name, test := range map[string]struct {
		path string // below the clone
		says string // empty if it can be written to
	}{
		"a folder":                    {"id", ""},
		"a folder in a folder":        {"public/id", ""},
		"a link to a folder inside":   {"www", "leads through the symbolic link"},
		"below a link":                {"www/id", "leads through the symbolic link"},
		"a link out":                  {"out/id", "leads through the symbolic link"},
		"a link by an absolute path":  {"absolute/id", "leads through the symbolic link"},
		"the clone itself":            {"", "is not in"},
		"beside the clone":            {"../other", "is not in"},
		"by way of beside the clone":  {"../clone/id", ""},
		"a dangling link, to be made": {"dangling", "leads through the symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			for _, dir := range []string{"real/clone/public", "outside"} {
				if err := os.MkdirAll(filepath.Join(above, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for link, target := range map[string]string{
				"link": "real", "real/clone/www": "public", "real/clone/out": "../../outside", "real/clone/absolute": filepath.Join(above, "outside"), "real/clone/dangling": "../new",
			} {
				if err := os.Symlink(target, filepath.Join(above, link)); err != nil {
					t.Fatal(err)
				}
			}
			clone := filepath.Join(above, "link/clone")
			d, err := destination.Open(context.Background(), destination.Config{Path: filepath.Join(clone, test.path), Names: names, Within: clone})
			if err == nil {
				err = d.Replace(context.Background(), names.set("x"))
				d.Close()
			}
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Fatalf("%v, want %q", err, test.says)
			}
			written := test.says == "" && whole(t, filepath.Join(clone, test.path)) == "x"
			if written != (test.says == "") {
				t.Error("nothing was written")
			}
			for _, dir := range []string{"outside", "real/clone/public", "real"} {
				entries, err := os.ReadDir(filepath.Join(above, dir))
				if err != nil {
					t.Fatal(err)
				}
				if len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "clone" && entries[0].Name() != "id" {
					t.Errorf("%s holds %v", dir, entries)
				}
			}
		})
	}
}

func TestIs(t *testing.T) {
	dir := t.TempDir()
	if err := write(filepath.Join(dir, "id"), "x", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "no/.gatepass"), 0o700); err != nil {
		t.Fatal(err)
	}
	// Killed before the first set was published: its key is there all the same.
	if err := write(filepath.Join(dir, "killed"), "x", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "killed/.gatepass/current")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"id": true, "killed": true, "no": false, "none": false, "id/.gatepass": false} {
		if got := destination.Is(os.DirFS(dir), name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
