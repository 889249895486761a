package hostsetup_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/hostsetup"
)

// requireSeeds fails unless a fuzz target has seeds in testdata.
func requireSeeds(t testing.TB, target string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds of %s: %v", target, err)
	}
}

// FuzzConfig looks for a configuration that hides another authority from us.
func FuzzConfig(f *testing.F) {
	requireSeeds(f, "FuzzConfig")
	f.Fuzz(func(t *testing.T, text string) {
		h := &hostsetup.Host{}
		before := len(h.Conflicts(hostsetup.ParseConfig("sshd_config", text, nil)))
		for _, line := range []string{"TrustedUserCAKeys /x", "\ttrustedusercakeys=/x", "\"TrustedUserCAKeys\" \"/x\" # ours", "AuthorizedPrincipalsCommand /bin/x %u"} {
			if after := len(h.Conflicts(hostsetup.ParseConfig("sshd_config", text+"\n"+line+"\n", nil))); after != before+1 {
				t.Errorf("%q below %q: %d conflicts, and %d before", line, text, after, before)
			}
		}
		// What follows a Match is for some logins only.
		if lines := hostsetup.ParseConfig("sshd_config", "Match all\n"+text, nil); hostsetup.IncludesConfigFile(lines) {
			t.Errorf("%q counts below a Match", text)
		}
	})
}

// FuzzAuthority looks for an authority that is written as something else than it was read.
func FuzzAuthority(f *testing.F) {
	requireSeeds(f, "FuzzAuthority")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := hostsetup.ParseAuthority(text)
		if err != nil {
			return
		}
		written := hostsetup.AuthorityText(keys)
		again, err := hostsetup.ParseAuthority(written)
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
