package commands

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// A command that keeps a key in memory alone keeps others from reading it there.
func TestKeysInMemoryAreConcealed(t *testing.T) {
	env := &Env{Env: cli.Env{Getenv: func(string) string { return "" }, Now: time.Now}}
	ssh := hostFlags{loginFlags: newLoginFlags(), port: 22, connectTimeout: time.Second}
	for name, prepare := range map[string]func() error{
		"ssh, cp":        func() error { _, err := ssh.prepare(env); return err },
		"exec --ssh-add": func() error { _ = new(execFlags).add(t.Context(), env); return nil }, // ends for want of an agent
	} {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		if err := prepare(); err != nil {
			t.Error(err)
		}
		if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
			t.Errorf("%s: dumpable is %d: %v", name, dumpable, err)
		}
	}
}
