package destination_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// names is the layout of most tests.
var names = layout{"key", "key.pub", "tlscert"}

// layout is the names of a set's files.
type layout []string

// set is a set whose files all say which set they are of.
func (l layout) set(tag string) []destination.File {
	var files []destination.File
	for _, name := range l {
		files = append(files, destination.File{Name: name, Data: []byte(tag + "\n")})
	}
	return files
}

func (l layout) write(dir, tag string, step func(string) error) error {
	d, err := destination.OpenWithStep(context.Background(), dir, l, step)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Replace(context.Background(), l.set(tag))
}

func write(dir, tag string, step func(string) error) error { return names.write(dir, tag, step) }

// whole returns the tag that every file has, empty if there is no file, and
// fails if the files are of different sets.
func whole(t *testing.T, dir string) string { t.Helper(); return names.whole(t, dir) }

func (l layout) whole(t *testing.T, dir string) string {
	t.Helper()
	tags := make(map[string]bool)
	for _, name := range l {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		tags[strings.TrimSpace(string(raw))] = true
	}
	if len(tags) != 1 {
		t.Fatalf("the set is mixed: %v", tags)
	}
	for tag := range tags {
		return tag
	}
	return ""
}

func TestReplaceLeavesOneSetPrivately(t *testing.T) {
	syscall.Umask(0)
	defer syscall.Umask(0o022)
	dir := filepath.Join(t.TempDir(), "deep", "id")
	for _, tag := range []string{"one", "two", "three"} {
		if err := write(dir, tag, nil); err != nil {
			t.Fatal(err)
		}
		if got := whole(t, dir); got != tag {
			t.Errorf("the set is %q, want %q", got, tag)
		}
	}
	sets, _ := filepath.Glob(filepath.Join(dir, ".gatepass", "*"))
	if len(sets) != 3 { // current, lock and one set
		t.Errorf("left over: %v", sets)
	}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		want := map[bool]os.FileMode{true: 0o700, false: 0o600}[entry.IsDir()]
		if err == nil && info.Mode().Type() != os.ModeSymlink && info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// wishes are all kinds of outputs, by name.
func wishes() map[string]string {
	all := map[string]string{
		"identity":           "identity",
		"application":        "application,app=a",
		"jwt":                "jwt,jwt-audience=a",
		"kubeconfig":         "kubernetes,kubernetes-user=u,kubernetes-server=https://k",
		"certificate-plugin": "kubernetes,kubernetes-user=u,kubernetes-server=https://k,exec-plugin",
		"token-plugin":       "kubernetes,auth=jwt,jwt-audience=a,kubernetes-server=https://k,exec-plugin",
	}
	for _, kind := range credentials.Kinds() {
		for _, option := range kind.Options {
			if option.Name != "format" {
				continue
			}
			for _, format := range option.Values {
				all[format] = kind.Name + ",username=app,format=" + format
			}
		}
	}
	return all
}

// layouts are the sets of every output.
func layouts(t *testing.T) map[string]layout {
	t.Helper()
	all := make(map[string]layout)
	for name := range wishes() {
		all[name] = layoutOf(t, name)
	}
	if len(all) < 11 {
		t.Fatalf("only %d outputs", len(all))
	}
	return all
}

// layoutOf is the set of one output.
func layoutOf(t *testing.T, name string) layout {
	t.Helper()
	wish, err := credentials.ParseWish(wishes()[name]+",destination=x", "the test", "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := wish.Output()
	if err != nil {
		t.Fatal(err)
	}
	return append(out.Names(), destination.ManifestName)
}

// TestEveryStepCanFail breaks each change in turn: the old set stays until the
// new one is in its place, nothing is left over, and the next write succeeds.
func TestEveryStepCanFail(t *testing.T) {
	for name, l := range layouts(t) {
		t.Run(name, func(t *testing.T) { everyStepCanFail(t, l) })
	}
}

func everyStepCanFail(t *testing.T, l layout) {
	for broken := 0; ; broken++ {
		dir := filepath.Join(t.TempDir(), "id")
		if err := l.write(dir, "old", nil); err != nil {
			t.Fatal(err)
		}
		step, at := 0, ""
		err := l.write(dir, "new", func(change string) error {
			step++
			if step == broken+1 {
				at = change
				return fmt.Errorf("%s: %w", change, syscall.ENOSPC)
			}
			return nil
		})
		if at == "" {
			if broken < 5+len(l) {
				t.Fatalf("there were only %d steps", broken)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(strings.Join(cli.Of(err).Hints, ""), "disk is full") {
			t.Errorf("at %q: error %v", at, err)
		}
		if got := l.whole(t, dir); got != "old" && at != "sweep" {
			t.Errorf("a failure at %q left %q", at, got)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".gatepass", "set-*")); len(left) != 1 && at != "sweep" {
			t.Errorf("a failure at %q left %v", at, left)
		}
		if err := l.write(dir, "next", nil); err != nil || l.whole(t, dir) != "next" {
			t.Errorf("after a failure at %q: %v", at, err)
		}
	}
}

const envKillAt = "DESTINATION_TEST_KILL_AT"

// TestKilledWriter is the child of TestAKillLeavesOneWholeSet.
func TestKilledWriter(t *testing.T) {
	at := os.Getenv(envKillAt)
	if at == "" {
		return
	}
	var dir, name string
	var kill, step int
	if _, err := fmt.Sscanf(at, "%d %s %s", &kill, &name, &dir); err != nil {
		t.Fatal(err)
	}
	err := layoutOf(t, name).write(dir, "new", func(string) error {
		if step++; step == kill {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAKillLeavesOneWholeSet kills a writer between any two of its changes.
func TestAKillLeavesOneWholeSet(t *testing.T) {
	for name, l := range layouts(t) {
		for _, before := range []string{"", "old"} {
			t.Run(name+" "+before, func(t *testing.T) {
				t.Parallel()
				killEverywhere(t, name, l, before)
			})
		}
	}
}

func killEverywhere(t *testing.T, name string, l layout, before string) {
	seen := make(map[string]int)
	for kill := 1; ; kill++ {
		dir := filepath.Join(t.TempDir(), "id")
		if before != "" {
			if err := l.write(dir, before, nil); err != nil {
				t.Fatal(err)
			}
		}
		child := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", envKillAt, kill, name, dir))
		out, err := child.CombinedOutput()
		got := l.whole(t, dir)
		seen[got]++
		if got != before && got != "new" {
			t.Fatalf("killed at step %d: the set is %q", kill, got)
		}
		if next := l.write(dir, "next", nil); next != nil || l.whole(t, dir) != "next" {
			t.Fatalf("killed at step %d: the next write fails: %v", kill, next)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".gatepass", "set-*")); len(left) != 1 {
			t.Errorf("killed at step %d: left over %v", kill, left)
		}
		if err == nil {
			break // it lived through every step
		}
		if child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child failed: %s", out)
		}
	}
	if seen[before] < 4+len(l) || seen["new"] < 2 {
		t.Errorf("from %q: the kills left %v", before, seen)
	}
}

// TestAnotherLayout replaces a set by one of an output with other files.
func TestAnotherLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "id")
	all := layouts(t)
	for _, first := range all {
		for _, second := range all {
			for i, l := range []layout{first, second} {
				if err := l.write(dir, fmt.Sprint(i), nil); err != nil || l.whole(t, dir) != fmt.Sprint(i) {
					t.Fatalf("%v after %v: %v", second, first, err)
				}
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			tops := map[string]bool{".gatepass": true, ".gitignore": true, ".dockerignore": true}
			for _, name := range second {
				top, _, _ := strings.Cut(name, "/")
				tops[top] = true
			}
			for _, entry := range entries {
				if !tops[entry.Name()] {
					t.Errorf("%s of %v is left in %v", entry.Name(), first, second)
				}
			}
		}
	}
}

func TestReadersNeverSeeAMixedSet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "id")
	if err := write(dir, "0", nil); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 20 {
				if err := write(dir, fmt.Sprint(w, i), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for {
		select {
		case <-done:
			whole(t, dir)
			return
		default:
		}
		// A reader that holds on to one set, as openat does, finds all of it or none.
		current, err := filepath.EvalSymlinks(filepath.Join(dir, ".gatepass", "current"))
		if err != nil {
			continue
		}
		tags := make(map[string]bool)
		for _, name := range names {
			if raw, err := os.ReadFile(filepath.Join(current, name)); err == nil && raw[0] != 0 {
				tags[string(raw)] = true
			}
		}
		if len(tags) > 1 {
			t.Fatalf("mixed: %v", tags)
		}
	}
}

func TestWhatIsInTheWayIsRefusedAndKept(t *testing.T) {
	victim := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	all := append([]string{".gatepass", ".gitignore", ".dockerignore"}, names...)
	for _, name := range all {
		for _, kind := range []string{"a link to a file", "a link to a directory", "a link to nothing", "a file", "a directory"} {
			if name == ".gatepass" && kind == "a directory" {
				continue // ours by definition: it is our own user's
			}
			t.Run(name+" is "+kind, func(t *testing.T) {
				dir, target := t.TempDir(), victim(t)
				os.Chmod(dir, 0o700)
				path := filepath.Join(dir, name)
				var err error
				switch kind {
				case "a link to a file":
					err = os.Symlink(target, path)
				case "a link to a directory":
					err = os.Symlink(filepath.Dir(target), path)
				case "a link to nothing":
					err = os.Symlink(target+"-missing", path)
				case "a file":
					err = os.WriteFile(path, []byte("precious"), 0o600)
				case "a directory":
					err = os.Mkdir(path, 0o700)
				}
				if err != nil {
					t.Fatal(err)
				}
				before, _ := os.Lstat(path)
				err = write(dir, "new", nil)
				if err == nil || !strings.Contains(err.Error(), "in the way: "+name) {
					t.Errorf("error %v", err)
				}
				after, err := os.Lstat(path)
				if err != nil || !os.SameFile(before, after) {
					t.Errorf("it was replaced: %v", err)
				}
				if raw, _ := os.ReadFile(target); string(raw) != "precious" {
					t.Errorf("the victim is %q", raw)
				}
				if _, err := os.Lstat(target + "-missing"); err == nil {
					t.Error("a file was made through the link")
				}
				if _, err := destination.Remove(context.Background(), dir); err != nil {
					t.Error(err)
				}
				if _, err := os.Lstat(path); err != nil {
					t.Error("logout removed what is not ours")
				}
			})
		}
	}
}

func TestLinksPlantedInsideOurState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "id")
	if err := write(dir, "old", nil); err != nil {
		t.Fatal(err)
	}
	victim := t.TempDir()
	key := filepath.Join(victim, "key")
	if err := os.WriteFile(key, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, ".gatepass")
	os.Remove(filepath.Join(state, "current"))
	os.Remove(filepath.Join(state, "lock"))
	for _, name := range []string{"current", "set-planted"} {
		if err := os.Symlink(victim, filepath.Join(state, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(dir, "new", nil); err != nil || whole(t, dir) != "new" {
		t.Errorf("%v", err)
	}
	os.Remove(filepath.Join(state, "lock"))
	// One leads out of the directory, the other stays in it.
	for _, target := range []string{key, "current/key"} {
		os.Remove(filepath.Join(state, "lock"))
		if err := os.Symlink(target, filepath.Join(state, "lock")); err != nil {
			t.Fatal(err)
		}
		if err := write(dir, "newer", nil); err == nil {
			t.Errorf("the lock was opened through a link to %s", target)
		}
	}
	if raw, _ := os.ReadFile(key); string(raw) != "precious" {
		t.Errorf("the victim is %q", raw)
	}
}

func TestLogoutOverwritesKeyMaterial(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "id")
	if err := write(dir, "secret", nil); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	removed, err := destination.Remove(context.Background(), link)
	if err != nil || !removed.Gone {
		t.Fatalf("%+v %v", removed, err)
	}
	if _, err := os.Lstat(link); err != nil {
		t.Error("the link that led there was removed")
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("the directory is still there")
	}
	raw := make([]byte, 7)
	if n, _ := file.Read(raw); n != 7 || strings.Trim(string(raw), "\x00") != "" {
		t.Errorf("the removed key still reads %q", raw)
	}
}

func TestCreateOpensNothingThatIsThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"file", "missing"} {
		if err := os.Symlink(target, filepath.Join(dir, "link-to-"+target)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"file", "link-to-file", "link-to-missing"} {
		if err := destination.Create(root, name, []byte("new"), nil); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if raw, _ := os.ReadFile(filepath.Join(dir, "file")); string(raw) != "precious" {
		t.Errorf("the file is %q", raw)
	}
}
