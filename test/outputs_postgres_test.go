package test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const postgresBin = "/usr/lib/postgresql/15/bin"

// postgres is a PostgreSQL server that knows users by the database authority alone:
// in the database plain by the name in the certificate, in exact by the name and
// nothing else (trust), in orders by the whole DN.
type postgres struct{ port string }

func startPostgres(t *testing.T, w *outputWorld) *postgres {
	t.Helper()
	need(t, postgresBin+"/postgres")
	dir := filepath.Join(w.dir, "postgres")
	must(t, os.Mkdir(dir, 0o755))
	as := postgresUser(t, dir, w.pki.key)
	data := filepath.Join(dir, "data")
	out, err := as(postgresBin+"/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p := &postgres{port: freePort(t)}
	config := map[string]string{
		"listen_addresses": "127.0.0.1", "port": p.port, "unix_socket_directories": dir, "fsync": "off", "ssl": "on",
		"ssl_ca_file": w.authority(t, "x509-database"), "ssl_cert_file": w.pki.cert, "ssl_key_file": dir + "/server.key",
		"hba_file": write(t, w.dir, "pg_hba.conf", `
local   all     postgres                trust
hostssl plain   all     127.0.0.1/32    cert
hostssl exact   all     127.0.0.1/32    trust  clientcert=verify-full
hostssl orders  all     127.0.0.1/32    cert  clientname=DN  map=orders
`),
		"ident_file": write(t, w.dir, "pg_ident.conf", `orders  "/^CN=([^,]+),OU=orders$"  \1`+"\n"),
	}
	args := []string{"-D", data}
	for name, value := range config {
		args = append(args, "-c", name+"="+value)
		if strings.HasPrefix(value, w.dir) {
			must(t, os.Chmod(value, os.FileMode(map[bool]int{true: 0o755, false: 0o644}[name == "unix_socket_directories"])))
		}
	}
	must(t, os.Chmod(dir+"/server.key", 0o600))
	startServer(t, p.port, as(postgresBin+"/postgres", args...))
	p.waitReady(t, dir)
	sql := "create role app login; create role reporting login;"
	for _, statement := range []string{sql, "create database plain", "create database exact", "create database orders"} {
		admin := exec.CommandContext(within(t, 30*time.Second), postgresBin+"/psql", "-h", dir, "-p", p.port, "-U", "postgres", "-qc", statement)
		mustSay(t, admin, true, "")
	}
	return p
}

// waitReady waits until PostgreSQL takes queries: for a while after it listens it
// refuses them, since it is starting up.
func (p *postgres) waitReady(t *testing.T, dir string) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for {
		out, err := exec.CommandContext(ctx, postgresBin+"/psql", "-h", dir, "-p", p.port, "-U", "postgres", "-qtAc", "select 1").CombinedOutput()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("PostgreSQL is not ready: %v: %s", err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// postgresUser gives the directory to a user that PostgreSQL agrees to run as, and
// returns how to run a program as that user.
func postgresUser(t *testing.T, dir, key string) func(string, ...string) *exec.Cmd {
	t.Helper()
	raw, err := os.ReadFile(key)
	must(t, err)
	write(t, dir, "server.key", string(raw))
	if os.Geteuid() != 0 {
		return func(name string, args ...string) *exec.Cmd { return exec.Command(name, args...) }
	}
	account, err := user.Lookup("postgres")
	must(t, err)
	uid, err := strconv.Atoi(account.Uid)
	must(t, err)
	gid, err := strconv.Atoi(account.Gid)
	must(t, err)
	for _, path := range []string{dir, dir + "/server.key"} {
		must(t, os.Chown(path, uid, gid))
	}
	setpriv := need(t, "setpriv")
	return func(name string, args ...string) *exec.Cmd {
		return exec.Command(setpriv, append([]string{"--reuid=postgres", "--regid=postgres", "--clear-groups", name}, args...)...)
	}
}

// psql logs in with an env file as a job does, with some variables changed.
func (p *postgres) psql(t *testing.T, set, database string, change ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(within(t, 30*time.Second), "sh", "-c",
		strings.Join(slices.Concat([]string{`set -a`, `. "$1/env"`, `PGHOST=localhost PGHOSTADDR=127.0.0.1 PGDATABASE=$2`}, change,
			[]string{`exec "$3" -tAc "select 'hello ' || current_user"`}), "; "),
		"sh", set, database, postgresBin+"/psql")
	cmd.Env = append(os.Environ(), "PGPORT="+p.port, "HOME="+t.TempDir())
	return cmd
}

func testPostgreSQL(t *testing.T, w *outputWorld) {
	p := startPostgres(t, w)
	ca := w.pki.ca
	app := w.Join(t, "example", "database", "--username", "app", "--database", "orders", "--server-ca", ca)
	for _, database := range []string{"plain", "exact", "orders"} {
		mustSay(t, p.psql(t, app, database), true, "hello app")
		for _, other := range []string{"reporting", "postgres"} {
			mustSay(t, p.psql(t, app, database, "PGUSER="+other), false, `authentication failed for user "`+other+`"`)
		}
	}

	// The database's name counts where the whole DN is mapped, and only there.
	other := w.Join(t, "example", "database", "--username", "app", "--database", "other", "--server-ca", ca)
	mustSay(t, p.psql(t, other, "plain"), true, "hello app")
	mustSay(t, p.psql(t, other, "orders"), false, `authentication failed for user "app"`)
	unnamed := w.Join(t, "example", "database", "--username", "app", "--server-ca", ca)
	mustSay(t, p.psql(t, unnamed, "orders"), false, `authentication failed for user "app"`)

	// A bot that is called postgres is nobody: another authority signed its certificate.
	identity := w.Join(t, "postgres", "identity")
	for _, database := range []string{"plain", "exact"} {
		cmd := p.psql(t, app, database, "PGUSER=postgres", "PGSSLCERT="+identity+"/tlscert", "PGSSLKEY="+identity+"/key")
		mustSay(t, cmd, false, "unknown ca")
		mustSay(t, p.psql(t, app, database, "unset PGSSLCERT PGSSLKEY"), false, "valid client certificate")
	}

	// The server is checked too.
	mustSay(t, p.psql(t, app, "plain", "PGSSLROOTCERT="+identity+"/ca.pem"), false, "certificate verify failed")
	mustSay(t, p.psql(t, app, "plain", "PGHOST=db.example.com"), false, "does not match host name")

	// After its end the certificate is refused, by the server.
	short := w.Join(t, "example", "database", "--username", "app", "--server-ca", ca, "--ttl", "6s")
	mustSay(t, p.psql(t, short, "plain"), true, "hello app")
	time.Sleep(7 * time.Second)
	mustSay(t, p.psql(t, short, "plain"), false, "certificate expired")
}
