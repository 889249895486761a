package revoke

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

const postgresBin = "/usr/lib/postgresql/15/bin"

// TestRevokedPostgreSQL has a real PostgreSQL refuse a certificate that it took before,
// set up as docs/incident.md has it: before a rotation, and while both keys are trusted.
func TestRevokedPostgreSQL(t *testing.T) {
	t.Parallel()
	w, p := local(t), startPostgres(t)
	join := func(rule string) string {
		return w.Join(t, rule, "database", "--username", "app", "--server-ca", p.dir+"/server.pem")
	}
	mustSay := func(when, set, want string) {
		t.Helper()
		if got := p.psql(t, set); !strings.Contains(got, want) {
			t.Errorf("%s: PostgreSQL says %q, want %q", when, got, want)
		}
	}
	// bring fetches the authorities and the list, and has PostgreSQL read them.
	bring := func() {
		t.Helper()
		ca := worldtest.Write(t, p.dir, "gatepass-x509-database.pem", w.Ctl("ca", "export", "--type", "x509-database"))
		if out, ok := w.fetch(t, "x509-database.crl", p.dir+"/gatepass-x509-database.crl", ca); !ok {
			t.Fatal(out)
		}
		worldtest.Must(t, os.Chmod(ca, 0o644))
		p.reload(t)
	}
	bring()
	revoked, kept := join("example-bot"), join("other-bot")
	mustSay("before it is revoked", revoked, "hello app")
	w.Ctl("revoke", "bot", "example")
	until(t, "PostgreSQL takes what was revoked", func() bool {
		bring()
		return strings.Contains(p.psql(t, revoked), "certificate revoked")
	})
	mustSay("another bot's", kept, "hello app")
	mustSay("a new one of the same bot, which is not locked", join("example-bot"), "hello app")

	w.Ctl("ca", "rotate", "--type", "x509-database", "--phase", "1")
	w.Ctl("ca", "rotate", "--type", "x509-database", "--phase", "2", "--force")
	bring()
	mustSay("during a rotation, revoked before", revoked, "certificate revoked")
	mustSay("during a rotation, of the old key", kept, "hello app")
	mustSay("during a rotation, of the new key", join("other-bot"), "hello app")
}

// postgres is a PostgreSQL server that lets in the user app by a certificate alone.
type postgres struct {
	dir, port string
	as        func(name string, args ...string) *exec.Cmd // runs a program as the server's user
}

func startPostgres(t *testing.T) *postgres {
	t.Helper()
	worldtest.Need(t, postgresBin+"/postgres")
	openssl := worldtest.Need(t, "openssl")
	dir, err := os.MkdirTemp("", "gatepass-postgres-") // of a path short enough for a socket
	worldtest.Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &postgres{dir: dir, port: freePort(t), as: exec.Command}
	worldtest.Output(t, openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", dir+"/server.key", "-out", dir+"/server.pem")
	hba := worldtest.Write(t, dir, "pg_hba.conf", "local all postgres trust\nhostssl all all 127.0.0.1/32 cert\n")
	// What it starts with; bring replaces them.
	for _, name := range []string{"gatepass-x509-database.pem", "gatepass-x509-database.crl"} {
		worldtest.Write(t, dir, name, "")
	}
	if os.Geteuid() == 0 { // as which PostgreSQL does not run
		setpriv := worldtest.Need(t, "setpriv")
		p.as = func(name string, args ...string) *exec.Cmd {
			return exec.Command(setpriv, append([]string{"--reuid=postgres", "--regid=postgres", "--clear-groups", name}, args...)...)
		}
		worldtest.Output(t, "chown", "-R", "postgres:postgres", dir)
	}
	run := func(cmd *exec.Cmd) {
		t.Helper()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	data := filepath.Join(dir, "data")
	run(p.as(postgresBin+"/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"))
	var log bytes.Buffer
	server := p.as(postgresBin+"/postgres", "-D", data, "-h", "127.0.0.1", "-p", p.port, "-k", dir, "-F",
		"-c", "hba_file="+hba, "-c", "ssl=on", "-c", "ssl_cert_file="+dir+"/server.pem", "-c", "ssl_key_file="+dir+"/server.key")
	server.Stdout, server.Stderr = &log, &log
	worldtest.Must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
		if t.Failed() {
			t.Logf("log of PostgreSQL:\n%s", &log)
		}
	})
	// It listens before it takes queries.
	until(t, "PostgreSQL takes no queries", func() bool {
		return exec.Command(postgresBin+"/psql", "-h", p.dir, "-p", p.port, "-U", "postgres", "-qtAc", "select 1").Run() == nil
	})
	p.admin(t, "create role app login")
	p.admin(t, "alter system set ssl_ca_file = '"+dir+"/gatepass-x509-database.pem'")
	p.admin(t, "alter system set ssl_crl_file = '"+dir+"/gatepass-x509-database.crl'")
	return p
}

// admin runs SQL as the server's own user, by the socket.
func (p *postgres) admin(t *testing.T, sql string) string {
	t.Helper()
	return strings.TrimSpace(worldtest.Output(t, postgresBin+"/psql", "-h", p.dir, "-p", p.port, "-U", "postgres", "-tAc", sql))
}

// reload has the server read its files again, and waits until it has.
func (p *postgres) reload(t *testing.T) {
	t.Helper()
	before := p.admin(t, "select pg_conf_load_time()")
	p.admin(t, "select pg_reload_conf()")
	until(t, "PostgreSQL has not read its files again", func() bool { return p.admin(t, "select pg_conf_load_time()") != before })
}

// psql logs in with an env file as a job does, and returns what it says.
func (p *postgres) psql(t *testing.T, set string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c",
		`set -a; . "$1/env"; PGHOST=localhost PGHOSTADDR=127.0.0.1 PGDATABASE=postgres; exec "$2" -tAc "select 'hello ' || current_user"`, "sh", set, postgresBin+"/psql")
	cmd.Env = append(os.Environ(), "PGPORT="+p.port, "HOME="+t.TempDir())
	out, _ := cmd.CombinedOutput()
	return string(out)
}
