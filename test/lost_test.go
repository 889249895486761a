package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// startFails runs gatepassctl serve, which must end by itself with an error, and returns
// what it said.
func startFails(t *testing.T, data string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, flags...)
	cmd := exec.CommandContext(ctx, worldtest.Binary(t, "gatepassctl"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("serve started, and ended with %v: %s", err, out)
	}
	return string(out)
}

// copyData copies a data directory that no server serves.
func copyData(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	must(t, os.CopyFS(to, os.DirFS(from)))
	must(t, os.Chmod(to, 0o700))
	must(t, os.Chmod(filepath.Join(to, "authorities"), 0o700))
	must(t, filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	}))
	return to
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(content)
}

// A server whose database or keys were lost began anew without a word: with no used ID
// tokens, locks or revocations, and valid empty lists.
func TestLostDataIsNotBegunAnewUnlessTold(t *testing.T) {
	w := newWorld(t)
	data := w.Serve.Data
	token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	status, id := postJoin(t, w.URL, token)
	if status != http.StatusOK {
		t.Fatalf("joined with status %d", status)
	}
	w.Serve.Stop(syscall.SIGTERM)
	older := copyData(t, data)
	w.Serve.Ctl("lock", "all", "--message", "incident", "--yes")
	w.Serve.Ctl("revoke", "join", id, "--reason", "test")
	other := worldtest.StartServe(t, filepath.Join(t.TempDir(), "other"))
	other.Stop(syscall.SIGTERM)

	db := func(dir string) string { return filepath.Join(dir, sqlite.FileName) }
	key := func(dir, name string) string { return filepath.Join(dir, "authorities", name) }
	replace := func(t *testing.T, with, path string) {
		body, err := os.ReadFile(with)
		must(t, err)
		must(t, os.WriteFile(path, body, 0o600))
	}
	for name, c := range map[string]struct {
		lose func(t *testing.T, dir string)
		says string
	}{
		"no database":                   {func(t *testing.T, dir string) { must(t, os.Remove(db(dir))) }, "no database beside them"},
		"an empty database":             {func(t *testing.T, dir string) { must(t, os.Truncate(db(dir), 0)) }, "gatepass.db is empty"},
		"another database":              {func(t *testing.T, dir string) { replace(t, db(other.Data), db(dir)) }, "is another database"},
		"an older copy":                 {func(t *testing.T, dir string) { replace(t, db(older), db(dir)) }, "it lacks locks, revocations or used ID tokens"},
		"no keys":                       {func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, "authorities"))) }, "store.json is missing"},
		"no key of one authority":       {func(t *testing.T, dir string) { must(t, os.Remove(key(dir, "ssh-user.key"))) }, "ssh-user.key is missing, and the store knows it"},
		"no key beside its certificate": {func(t *testing.T, dir string) { must(t, os.Remove(key(dir, "x509-database.key"))) }, "x509-database.key is missing, and the store knows it"},
		"another key":                   {func(t *testing.T, dir string) { replace(t, key(other.Data, "ssh-user.key"), key(dir, "ssh-user.key")) }, "is another key than the one that the store knows"},
		"no mark":                       {func(t *testing.T, dir string) { must(t, os.Remove(key(dir, "store.json"))) }, "store.json is missing"},
		"a mark that is damaged":        {func(t *testing.T, dir string) { must(t, os.WriteFile(key(dir, "store.json"), []byte("{"), 0o600)) }, "store.json is damaged"},
		"a database of apply in its place": {func(t *testing.T, dir string) {
			must(t, os.Remove(db(dir)))
			s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
			must(t, err)
			must(t, s.Close())
		}, "is another database"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyData(t, data)
			c.lose(t, dir)
			said := startFails(t, dir)
			for _, want := range []string{c.says, "serve --data " + dir + " --new"} {
				if !strings.Contains(said, want) {
					t.Errorf("serve does not say %q:\n%s", want, said)
				}
			}
			again := worldtest.StartServeWith(t, dir, worldtest.ServeOptions{Flags: []string{"--new"}})
			if status, body := get(t, again.URL+api.PathAuthorities); status != http.StatusOK {
				t.Errorf("begun anew it answers %d %s", status, body)
			}
			if status, body := get(t, again.URL+api.PathRevokedKRL); status != http.StatusOK {
				t.Errorf("begun anew it answers %d %s", status, body)
			}
			again.Stop(syscall.SIGTERM)
			if said := startFails(t, dir, "--new"); !strings.Contains(said, "leave that out") {
				t.Errorf("--new that has nothing to do: %s", said)
			}
			worldtest.StartServe(t, dir).Stop(syscall.SIGTERM)
		})
	}
	t.Run("nothing is lost", func(t *testing.T) {
		s := worldtest.StartServe(t, copyData(t, data))
		if status, _ := postJoin(t, s.URL, token); status != api.CodeLocked.Status() {
			t.Errorf("a locked join is answered with %d", status)
		}
	})
}

// A database that is damaged is refused at the start and told by status, not found in an audit.
func TestADamagedDatabaseIsNotServed(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
		must(t, err)
		if status, _ := postJoin(t, w.URL, token); status != http.StatusOK {
			t.Fatalf("joined with status %d", status)
		}
	}
	w.Serve.Stop(syscall.SIGTERM)
	for name, damage := range map[string]func(f *os.File, size int64) error{
		"cut off in the middle": func(f *os.File, size int64) error { return f.Truncate(size / 2 &^ 4095) },
		"garbage in its pages": func(f *os.File, size int64) error {
			_, err := io.CopyN(io.NewOffsetWriter(f, 2*4096), rand.Reader, size-2*4096)
			return err
		},
		"garbage in its first page": func(f *os.File, _ int64) error {
			_, err := io.CopyN(io.NewOffsetWriter(f, 0), rand.Reader, 100)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyData(t, w.Serve.Data)
			f, err := os.OpenFile(filepath.Join(dir, sqlite.FileName), os.O_RDWR, 0)
			must(t, err)
			info, err := f.Stat()
			must(t, err)
			must(t, damage(f, info.Size()))
			must(t, f.Close())
			said := startFails(t, dir)
			if !strings.Contains(said, "restore the whole directory from a backup") || !strings.Contains(said, "gatepassctl serve --data "+dir+" --new") {
				t.Errorf("serve says %s", said)
			}
			out, err := exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepassctl"), "status", "--data", dir).CombinedOutput()
			if err == nil {
				t.Errorf("status says that all is well:\n%s", out)
			}
		})
	}
}

// A database that was removed under a running server was written on: 843 credentials had
// no record, and one ID token was used at the old and the new process.
func TestADatabaseThatIsExchangedUnderServe(t *testing.T) {
	for name, exchange := range map[string]func(t *testing.T, dir string){
		"all of it removed":     func(t *testing.T, dir string) { moveAway(t, dir, "", "-wal", "-shm") },
		"the database removed":  func(t *testing.T, dir string) { moveAway(t, dir, "") },
		"the log removed":       func(t *testing.T, dir string) { moveAway(t, dir, "-wal") },
		"the database replaced": func(t *testing.T, dir string) { replaceByCopy(t, filepath.Join(dir, sqlite.FileName)) },
		"the directory replaced": func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".old"))
			must(t, os.CopyFS(dir, os.DirFS(dir+".old")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := func() string {
				token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
				must(t, err)
				return token
			}
			if status, _ := postJoin(t, w.URL, token()); status != http.StatusOK {
				t.Fatalf("joined with status %d", status)
			}
			exchange(t, w.Serve.Data)
			for range 3 {
				if status, _ := postJoin(t, w.URL, token()); status != api.CodeStoreUnavailable.Status() {
					t.Errorf("a join is answered with %d", status)
				}
			}
			// What looks after the server must see what every job sees.
			if status, body := get(t, w.URL+api.PathHealth); status != api.CodeStoreUnavailable.Status() {
				t.Errorf("/healthz is answered with %d %.200s", status, body)
			}
			time.Sleep(1100 * time.Millisecond) // what was read for lists is used for a second
			for _, path := range []string{api.PathRevokedKRL, api.PathRevokedCRL} {
				if status, body := get(t, w.URL+path); status != api.CodeStoreUnavailable.Status() {
					t.Errorf("%s is answered with %d %.200s", path, status, body)
				}
			}
		})
	}
}

func moveAway(t *testing.T, dir string, suffixes ...string) {
	t.Helper()
	for _, suffix := range suffixes {
		must(t, os.Rename(filepath.Join(dir, sqlite.FileName+suffix), filepath.Join(dir, "away"+suffix)))
	}
}

func replaceByCopy(t *testing.T, path string) {
	t.Helper()
	body, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path+".new", body, 0o600))
	must(t, os.Rename(path+".new", path))
}

// Garbage over a live write-ahead log went unnoticed: 437 of 755 records could not be read
// afterwards.
func TestGarbageOverALiveLogIsFound(t *testing.T) {
	w := newWorld(t)
	join := func() (string, int) {
		token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
		must(t, err)
		status, id := postJoin(t, w.URL, token)
		return id, status
	}
	var granted []string
	for range 20 {
		id, status := join()
		if status != http.StatusOK {
			t.Fatalf("joined with status %d", status)
		}
		granted = append(granted, id)
	}
	w.Serve.Ctl("lock", "bot", "nobody-yet", "--message", "a change that is marked", "--yes")
	log := filepath.Join(w.Serve.Data, sqlite.FileName+"-wal")
	info, err := os.Stat(log)
	must(t, err)
	f, err := os.OpenFile(log, os.O_WRONLY, 0)
	must(t, err)
	_, err = io.CopyN(f, rand.Reader, info.Size())
	must(t, err)
	must(t, f.Close())

	status := exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepassctl"), "status", "--data", w.Serve.Data)
	if out, err := status.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("restore")) {
		t.Errorf("status says that all is well: %v\n%s", err, out)
	}
	w.Serve.Stop(syscall.SIGKILL)
	said := startFails(t, w.Serve.Data)
	if !strings.Contains(said, "serve --data "+w.Serve.Data+" --new") {
		t.Errorf("with the log lost, serve says %s", said)
	}
	_ = granted
}

// A record that cannot be read back is found by status, and logged at the start.
func TestADamagedRecordIsFound(t *testing.T) {
	w := newWorld(t)
	token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	_, id := postJoin(t, w.URL, token)
	w.Serve.Stop(syscall.SIGTERM)
	path := filepath.Join(w.Serve.Data, sqlite.FileName)
	body, err := os.ReadFile(path)
	must(t, err)
	from := []byte(`{"join_id":"` + id)
	if !bytes.Contains(body, from) {
		t.Fatal("the record is not in the database")
	}
	must(t, os.WriteFile(path, bytes.ReplaceAll(body, from, append([]byte(`{"join_id";"`), id...)), 0o600))
	out, err := exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepassctl"), "status", "--data", w.Serve.Data, "--format", "json").Output()
	var report struct{ Damage, Damaged []string }
	if json.Unmarshal(out, &report) != nil || err == nil || !slices.Contains(report.Damaged, id) || len(report.Damage) != 1 || !strings.Contains(report.Damage[0], id) {
		t.Errorf("status: %v\n%s", err, out)
	}
	s := worldtest.StartServe(t, w.Serve.Data)
	if log := s.Log(); !strings.Contains(log, "a record is damaged") || !strings.Contains(log, id) {
		t.Errorf("logged %s", log)
	}
}
