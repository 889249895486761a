package rotation

import (
	"bufio"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// state is how the authority of SSH users stands; the zero State if it was never rotated.
func state(t *testing.T, store authority.Reader) authority.State {
	t.Helper()
	all, err := store.RotatedAuthorities(t.Context())
	must(t, err)
	if len(all) == 0 {
		return authority.State{}
	}
	must(t, all[0].Check())
	return all[0].State
}

// walk is a way through all steps, each with the phase that it leads to.
var walk = []struct {
	step  string
	phase authority.Phase
}{{"1", 1}, {"2", 2}, {"back", 1}, {"back", 0}, {"1", 1}, {"2", 2}, {"3", 0}}

// killed runs a command and kills it after some time, if it has not ended before.
func killed(t *testing.T, cmd *exec.Cmd, after time.Duration) {
	t.Helper()
	must(t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // how it ended is not the matter
}

// SIGKILL at any moment of any step leaves the state before it or after it, with which
// jobs join; the same command again goes on.
func TestKilledData(t *testing.T) {
	t.Parallel()
	w := &world{World: worldtest.Local(t)}
	w.Apply(rules)
	serve := w.Serve
	store, err := sqlite.Open(t.Context(), serve.Data, sqlite.Options{MustExist: true})
	must(t, err)
	defer store.Close()

	start := time.Now()
	serve.Ctl("ca", "rotate")
	whole := time.Since(start) // of a command: as long as a step takes, about
	var now authority.State
	runs, left := 0, 0
	for _, next := range walk {
		for try := 1; ; try++ {
			killed(t, serve.CtlCommand("ca", "rotate", "--type", "ssh-user", "--phase", next.step, "--force"), about(whole, try))
			runs++
			before := now
			now = state(t, store)
			if now.Phase() != before.Phase() && now.Phase() != next.phase {
				t.Fatalf("phase %s led from %s to %s", next.step, before.Phase(), now.Phase())
			}
			left += w.holds(t, serve.Data, now)
			if len(now.Keys) > 0 && now.Phase() == next.phase {
				break
			}
			if try == 100 {
				t.Fatalf("phase %s was not made in %d tries", next.step, try)
			}
		}
		// The same again puts the key aside that is past, if the kill came before that.
		if next.step != "back" || next.phase == authority.Settled {
			serve.Ctl("ca", "rotate", "--type", "ssh-user", "--phase", next.step, "--force")
		}
		if files := keyFiles(t, serve.Data, "ssh-user"); len(files) != len(now.InUse()) {
			t.Fatalf("after phase %s there are the keys %v", next.step, files)
		}
	}
	t.Logf("%d runs, of which most were killed; %d left a key that was not stored yet", runs, left)
}

// about is a time before a command has ended, or, after some tries, may have.
func about(whole time.Duration, try int) time.Duration {
	return time.Duration(rand.Int64N(int64(whole) * int64(1+try) / 5))
}

// holds checks that jobs join as the state says, and returns how many keys were made
// that it does not know: none or one.
func (w *world) holds(t *testing.T, data string, now authority.State) (left int) {
	t.Helper()
	j, err := w.join()
	if err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	used := 1
	if len(now.Keys) > 0 {
		used = len(now.InUse())
		name, err := now.Signing().Name(now.Purpose)
		must(t, err)
		if j.signer() != name {
			t.Fatalf("after a kill jobs have certificates of %s, and %s signs", j.signer(), name)
		}
	}
	if len(j.authorities.SSHUser) != used {
		t.Fatalf("after a kill jobs are told of %d keys, and %d are in use", len(j.authorities.SSHUser), used)
	}
	// A key that is past may not be put aside yet, or one that is new not stored.
	files := keyFiles(t, data, "ssh-user")
	if len(files) > used+1 {
		t.Fatalf("after a kill there are the keys %v, and %d are in use", files, used)
	}
	return len(files) - used
}

// The same with the real command on a stack, which is killed at the latest while it
// waits for the functions. cut_test.go has every call of it fail by itself.
func TestKilledStack(t *testing.T) {
	t.Parallel()
	s, err := worldtest.SharedCloud(t).NewStack(t.Context(), "killed")
	must(t, err)
	t.Cleanup(s.Close)
	start := time.Now()
	s.Ctl(t, "ca", "rotate", "--type", "ssh-user")
	whole := time.Since(start)
	for try := 1; state(t, s.Store).Phase() != authority.Announced; try++ {
		killed(t, s.CtlCommand(t, "ca", "rotate", "--type", "ssh-user", "--phase", "1"), about(whole, try))
		if try == 50 {
			t.Fatalf("phase 1 was not made in %d tries", try)
		}
	}
	// Another run finds the step made, and has only the rest of the wait before it.
	again := s.CtlCommand(t, "ca", "rotate", "--type", "ssh-user", "--phase", "1")
	stderr, err := again.StderrPipe()
	must(t, err)
	must(t, again.Start())
	line, err := bufio.NewReader(stderr).ReadString('\n')
	_ = again.Process.Kill()
	_ = again.Wait() // it was killed
	if err != nil || !strings.HasPrefix(line, "waiting ") {
		t.Errorf("the same command again says %q: %v", line, err)
	}
}
