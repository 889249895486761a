package credentials

import (
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// postgres is the default: the three files, and libpq's variables (libpq, 34.15
// Environment Variables) as assignments that a shell can read.
func postgres(db databaseUser, o *Output) error {
	const fileEnv = "env"
	o.files = append(tlsFiles(db.serverCAs), file{fileEnv, (*granted).assignments})
	o.variables = func(dir string) []Variable {
		variables := []Variable{{"PGUSER", db.user}}
		if db.database != "" {
			variables = append(variables, Variable{"PGDATABASE", db.database})
		}
		return append(variables,
			// Anything less would give the password-less login to whoever answers.
			Variable{"PGSSLMODE", "verify-full"},
			Variable{"PGSSLCERT", dir + "/" + fileClientCert},
			Variable{"PGSSLKEY", dir + "/" + fileClientKey},
			Variable{"PGSSLROOTCERT", dir + "/" + fileServerCAs})
	}
	o.next = func(g *granted) string { return "set -a; . " + g.path(fileEnv) + "; set +a; psql -h HOST" }
	return nil
}

// mongo has certificate and key in one file (tlsCertificateKeyFile).
func mongo(db databaseUser, o *Output) error {
	const fileCert, fileCAs = "mongo.crt", "mongo.cas"
	o.files = []file{{fileCert, (*granted).certificateAndKey}, {fileCAs, db.serverCAs.content}}
	o.next = func(g *granted) string {
		return "mongosh --tls --tlsCertificateKeyFile " + g.path(fileCert) + " --tlsCAFile " + g.path(fileCAs) +
			" --authenticationMechanism MONGODB-X509 --authenticationDatabase '$external' --host HOST"
	}
	return nil
}

// cockroach finds a user's files by their names in a directory (--certs-dir).
func cockroach(db databaseUser, o *Output) error {
	if strings.ContainsAny(db.user, "/\\") {
		return cli.Misused("--username %q cannot be in a file name, as cockroach has it", words.Clean(db.user)).Hint("use another format")
	}
	const dir = "cockroach"
	client := dir + "/client." + db.user
	o.files = []file{
		{dir + "/ca.crt", db.serverCAs.content},
		{client + ".crt", (*granted).certificate},
		{client + ".key", (*granted).privateKey},
	}
	o.next = func(g *granted) string {
		return "cockroach sql --certs-dir " + g.path(dir) + " --user " + words.ShellWord(db.user) + " --host HOST"
	}
	return nil
}

// mysql reads options from a file, and its own tools call the others so (mysql_ssl_rsa_setup).
func mysql(db databaseUser, o *Output) error {
	const fileCAs, fileCert, fileKey, fileConfig = "ca.pem", "client-cert.pem", "client-key.pem", "my.cnf"
	if o.Place.Path != "" {
		if err := checkConfigPath(o.Place.Path); err != nil {
			return err
		}
	}
	config := func(g *granted) ([]byte, error) {
		// MySQL knows ssl-mode and MariaDB ssl-verify-server-cert; loose- makes each
		// pass over the other's. checkConfigPath refused what the quotes cannot hold.
		return fmt.Appendf(nil, `# Written by gatepass; replaced by the next join. Use: mysql --defaults-extra-file=FILE -h HOST
[client]
user="%s"
ssl-ca="%s"
ssl-cert="%s"
ssl-key="%s"
loose-ssl-mode=VERIFY_IDENTITY
loose-ssl-verify-server-cert
`, mysqlEscape(db.user), g.dir+"/"+fileCAs, g.dir+"/"+fileCert, g.dir+"/"+fileKey), nil
	}
	o.files = []file{
		{fileCAs, db.serverCAs.content},
		{fileCert, (*granted).certificate},
		{fileKey, (*granted).privateKey},
		{fileConfig, config},
	}
	// It is where MySQL's and MariaDB's programs look for my.cnf.
	o.variables = func(dir string) []Variable { return []Variable{{"MYSQL_HOME", dir}} }
	o.next = func(g *granted) string {
		next := "mysql --defaults-extra-file=" + g.path(fileConfig) + " -h HOST"
		if db.database != "" {
			next += " " + words.ShellWord(db.database)
		}
		return next
	}
	return nil
}

// mysqlEscape is for a quoted value of an option file, where a backslash escapes.
func mysqlEscape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
}
