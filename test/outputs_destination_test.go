package test

import (
	"crypto/tls"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// everyOutput has each output and format, which all write other files.
func everyOutput(w *outputWorld) map[string][]string {
	ca := []string{"--server-ca", w.pki.ca}
	k8s := []string{"kubernetes", "--kubernetes-server", "https://127.0.0.1", "--kubernetes-ca", w.pki.ca}
	all := map[string][]string{
		"identity":          {"identity"},
		"application":       append([]string{"application", "--app", "grafana"}, ca...),
		"jwt":               {"jwt", "--jwt-audience", "https://vault.example.com"},
		"kubernetes":        append(slices.Clone(k8s), "--kubernetes-user", "ci"),
		"kubernetes plugin": append(slices.Clone(k8s), "--kubernetes-user", "ci", "--exec-plugin"),
		"kubernetes token":  append(slices.Clone(k8s), "--auth", "jwt", "--jwt-audience", "cluster", "--exec-plugin"),
	}
	for _, format := range []string{"default", "mongo", "cockroach", "mysql", "pkcs12"} {
		all["database "+format] = append([]string{"database", "--username", "app", "--format", format}, ca...)
	}
	return all
}

// files reads what a destination's own list names: the set that a program would find.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	set := make(map[string]string)
	raw, err := os.ReadFile(file(dir, destination.ManifestName))
	must(t, err)
	var manifest struct{ Files []string }
	must(t, json.Unmarshal(raw, &manifest))
	if len(manifest.Files) == 0 {
		t.Fatal("the list names no files")
	}
	for _, name := range append(manifest.Files, destination.ManifestName) {
		raw, err := os.ReadFile(file(dir, name))
		must(t, err)
		set[name] = string(raw)
	}
	return set
}

// joinTo joins for an output into a directory.
func (w *outputWorld) joinTo(t *testing.T, dir string, args []string) *exec.Cmd {
	t.Helper()
	return w.gatepass(t, "example", append([]string{"join", args[0], "--destination", dir}, args[1:]...)...)
}

// testFullDisk gives each output a file system on which one set fits, and no second one.
func testFullDisk(t *testing.T, w *outputWorld) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can mount a small file system")
	}
	for name, args := range everyOutput(w) {
		t.Run(name, func(t *testing.T) {
			mount := t.TempDir()
			// In a mount namespace of its own, which ends with the shell.
			shell := `mount -t tmpfs -o size=256k,mode=700 none "$1" || exit 9; cd "$1"; copies=$2; shift 2
"$@" || exit 8
cp -RL id "$copies/before" || exit 7
head -c 300k /dev/zero >filler 2>"$copies/full" && exit 6
"$@" 2>&1 && exit 5
cp -RL id "$copies/after" && diff -r "$copies/before" "$copies/after" || exit 4
rm filler; "$@" >"$copies/log" || exit 3
diff -rq "$copies/before" id >"$copies/log" && exit 2
exit 0`
			join := w.joinTo(t, "id", args)
			cmd := exec.CommandContext(within(t, time.Minute), need(t, "unshare"), append([]string{"-m", "sh", "-c", shell, "sh", mount, t.TempDir(), join.Path}, join.Args[1:]...)...)
			cmd.Env = join.Env // one ID token for all: max_joins allows it
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "the disk is full") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// testPlanted puts a link at each name of each output, one at a time.
func testPlanted(t *testing.T, w *outputWorld) {
	for name, args := range everyOutput(w) {
		t.Run(name, func(t *testing.T) {
			honest := filepath.Join(t.TempDir(), "honest")
			mustSay(t, w.joinTo(t, honest, args), true, "written to")
			tops := map[string]bool{".gitignore": true, ".dockerignore": true, ".gatepass": true}
			for name := range files(t, honest) {
				top, _, _ := strings.Cut(name, "/")
				tops[top] = true
			}
			for _, name := range slices.Sorted(maps.Keys(tops)) {
				dir, victims := t.TempDir(), t.TempDir()
				must(t, os.Chmod(dir, 0o700))
				victim := write(t, victims, "victim", "precious")
				must(t, os.Symlink(victim, file(dir, name)))
				mustSay(t, w.joinTo(t, dir, args), false, "in the way: "+name)
				raw, err := os.ReadFile(victim)
				must(t, err)
				if target, err := os.Readlink(file(dir, name)); string(raw) != "precious" || err != nil || target != victim {
					t.Errorf("%s: the victim is %q, the link %q %v", name, raw, target, err)
				}
			}
			if os.Geteuid() != 0 { // who may write everywhere
				closed := t.TempDir()
				must(t, os.Chmod(closed, 0o500))
				mustSay(t, w.joinTo(t, file(closed, "id"), args), false, "permission denied")
			}
			readOnly(t, w, honest, args)
		})
	}
}

// readOnly mounts a destination read-only: the set that is there stays.
func readOnly(t *testing.T, w *outputWorld, dir string, args []string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	before := files(t, dir)
	join := w.joinTo(t, dir, args)
	cmd := exec.Command(need(t, "unshare"), append([]string{"-m", "sh", "-c",
		`mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 9; shift; exec "$@"`, "sh", dir, join.Path}, join.Args[1:]...)...)
	cmd.Env = join.Env
	mustSay(t, cmd, false, "read-only file system")
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Error("the set was changed")
	}
}

// testTwoWriters lets several joins write to one destination at the same time.
func testTwoWriters(t *testing.T, w *outputWorld) {
	for name, args := range everyOutput(w) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "id")
			var writers sync.WaitGroup
			for range 3 {
				join := w.joinTo(t, dir, args)
				writers.Go(func() {
					if out, err := join.CombinedOutput(); err != nil {
						t.Errorf("a writer failed: %v\n%s", err, out)
					}
				})
			}
			writers.Wait()
			set := files(t, dir)
			pairs := 0
			for _, pair := range [][2]string{
				{"tlscert", "key"}, {"tls.crt", "tls.key"}, {"mongo.crt", "mongo.crt"}, {"client-cert.pem", "client-key.pem"},
				{"cockroach/client.app.crt", "cockroach/client.app.key"},
			} {
				if set[pair[0]] == "" {
					continue
				}
				pairs++
				if _, err := tls.X509KeyPair([]byte(set[pair[0]]), []byte(set[pair[1]])); err != nil {
					t.Errorf("%v are of two sets: %v", pair, err)
				}
			}
			if pairs == 0 && len(set) > 3 && set["keystore.p12"] == "" && set["jwt"] == "" {
				t.Errorf("nothing of %v was compared", slices.Sorted(maps.Keys(set)))
			}
			if password := set["keystore.password"]; password != "" {
				if _, _, err := pkcs12.Decode([]byte(set["keystore.p12"]), password); err != nil {
					t.Errorf("the key store and its password are of two sets: %v", err)
				}
			}
			if left, _ := filepath.Glob(file(dir, ".gatepass", "set-*")); len(left) != 1 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

// testReaders lets a user in who otherwise is nobody, and gives sets away.
func testReaders(t *testing.T, w *outputWorld) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can become other users")
	}
	setpriv := need(t, "setpriv")
	as := func(uid string, args ...string) *exec.Cmd {
		return exec.Command(setpriv, append([]string{"--reuid=" + uid, "--regid=" + uid, "--clear-groups"}, args...)...)
	}
	const reader, stranger, owner = "12345", "12346", "12347"
	for name, args := range everyOutput(w) {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			dir := filepath.Join(w.dir, "readers-"+strings.ReplaceAll(name, " ", "-"))
			for range 2 { // also when the set is replaced
				mustSay(t, w.joinTo(t, dir, append(slices.Clone(args), "--reader-user", reader, "--acls", "required")), true, "written to")
			}
			for name, content := range files(t, dir) {
				out, err := as(reader, "cat", file(dir, name)).Output()
				if err != nil || string(out) != content {
					t.Errorf("the reader of %s: %v", name, err)
				}
				mustSay(t, as(stranger, "cat", file(dir, name)), false, "Permission denied")
				mustSay(t, as(reader, "sh", "-c", `: >"$1"`, "sh", file(dir, name)), false, "Permission denied")
			}
			mustSay(t, as(reader, "touch", file(dir, "new")), false, "Permission denied")
			// Without readers the next set is for nobody but the owner.
			mustSay(t, w.joinTo(t, dir, args), true, "written to")
			mustSay(t, as(reader, "ls", dir), false, "Permission denied")

			given := dir + "-given"
			for range 2 {
				mustSay(t, w.joinTo(t, given, append(slices.Clone(args), "--owner", owner+":"+owner)), true, "written to")
			}
			for name := range files(t, given) {
				mustSay(t, as(owner, "stat", "-L", "-c", "%u:%g %a", file(given, name)), true, owner+":"+owner+" 600")
				mustSay(t, as(reader, "cat", file(given, name)), false, "Permission denied")
			}
			if name == "identity" { // root removes what it gave away
				mustSay(t, exec.Command(binary(t, "gatepass"), "logout", given), true, "removed")
			} else {
				bin, err := os.ReadFile(binary(t, "gatepass"))
				must(t, err)
				path := filepath.Join(w.dir, "gatepass-"+strings.ReplaceAll(name, " ", "-"))
				must(t, os.WriteFile(path, bin, 0o755))
				mustSay(t, as(owner, path, "logout", given), true, "removed")
				must(t, os.Remove(path))
			}
			if left, _ := os.ReadDir(given); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
