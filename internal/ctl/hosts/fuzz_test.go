package hosts_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
)

// requireSeeds fails unless a fuzz target has seeds in testdata.
func requireSeeds(t testing.TB, target string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds of %s: %v", target, err)
	}
}

// FuzzAuthority looks for an authority that is written as something else than it was read.
func FuzzAuthority(f *testing.F) {
	requireSeeds(f, "FuzzAuthority")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := hosts.ParseAuthority(text)
		if err != nil {
			return
		}
		written := hosts.AuthorityText(keys)
		again, err := hosts.ParseAuthority(written)
		if err != nil || len(again) != len(keys) || strings.Count(written, "\n") != len(keys)+1 {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		for i := range keys {
			if !bytes.Equal(keys[i].Marshal(), again[i].Marshal()) {
				t.Errorf("key %d of %q changed", i, text)
			}
		}
	})
}
