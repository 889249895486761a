package credentials

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// The default format is PostgreSQL's: the three files, and libpq's variables
// (libpq, 34.15 Environment Variables) as assignments that a shell can read.
const fileEnv = "env"

func postgresNames(*Database) []string {
	return []string{fileClientCert, fileClientKey, fileServerCAs, fileEnv}
}

func postgresFiles(o *Database, g Granted, cert grantedCert) ([]destination.File, error) {
	var env bytes.Buffer
	line := func(name, value string) { fmt.Fprintf(&env, "%s=%s\n", name, alwaysQuote(value)) }
	line("PGUSER", o.config.User)
	if o.config.Name != "" {
		line("PGDATABASE", o.config.Name)
	}
	// Anything less would give the password-less login to whoever answers.
	line("PGSSLMODE", "verify-full")
	line("PGSSLCERT", g.Path+"/"+fileClientCert)
	line("PGSSLKEY", g.Path+"/"+fileClientKey)
	line("PGSSLROOTCERT", g.Path+"/"+fileServerCAs)
	return append(tlsFiles(cert, o.config.ServerCAs.PEM), destination.File{Name: fileEnv, Data: env.Bytes()}), nil
}

func postgresNext(_ *Database, dir string) string {
	return "set -a; . " + ShellQuote(dir+"/"+fileEnv) + "; set +a; psql -h HOST"
}

// MongoDB takes certificate and key in one file (tlsCertificateKeyFile).
const (
	fileMongoCert = "mongo.crt"
	fileMongoCAs  = "mongo.cas"
)

func mongoNames(*Database) []string { return []string{fileMongoCert, fileMongoCAs} }

func mongoFiles(o *Database, _ Granted, cert grantedCert) ([]destination.File, error) {
	return []destination.File{
		{Name: fileMongoCert, Data: slices.Concat(cert.certPEM(), cert.keyPEM)},
		{Name: fileMongoCAs, Data: o.config.ServerCAs.PEM},
	}, nil
}

func mongoNext(_ *Database, dir string) string {
	return "mongosh --tls --tlsCertificateKeyFile " + ShellQuote(dir+"/"+fileMongoCert) + " --tlsCAFile " + ShellQuote(dir+"/"+fileMongoCAs) +
		" --authenticationMechanism MONGODB-X509 --authenticationDatabase '$external' --host HOST"
}

// CockroachDB finds a user's files by their names in a directory (--certs-dir).
const dirCockroach = "cockroach"

func cockroachNames(o *Database) []string {
	client := dirCockroach + "/client." + o.config.User
	return []string{dirCockroach + "/ca.crt", client + ".crt", client + ".key"}
}

func cockroachFiles(o *Database, _ Granted, cert grantedCert) ([]destination.File, error) {
	names := cockroachNames(o)
	return []destination.File{
		{Name: names[0], Data: o.config.ServerCAs.PEM},
		{Name: names[1], Data: cert.certPEM()},
		{Name: names[2], Data: cert.keyPEM},
	}, nil
}

func cockroachNext(o *Database, dir string) string {
	return "cockroach sql --certs-dir " + ShellQuote(dir+"/"+dirCockroach) + " --user " + ShellQuote(o.config.User) + " --host HOST"
}

// MySQL's own tools call these files so (mysql_ssl_rsa_setup), and read options from a file.
const (
	fileMySQLCAs    = "ca.pem"
	fileMySQLCert   = "client-cert.pem"
	fileMySQLKey    = "client-key.pem"
	fileMySQLConfig = "my.cnf"
)

func mysqlNames(*Database) []string {
	return []string{fileMySQLCAs, fileMySQLCert, fileMySQLKey, fileMySQLConfig}
}

func mysqlFiles(o *Database, g Granted, cert grantedCert) ([]destination.File, error) {
	// MySQL knows ssl-mode and MariaDB ssl-verify-server-cert; loose- makes each
	// pass over the other's. checkConfigPath refused what the quotes cannot hold.
	config := fmt.Sprintf(`# Written by gatepass; replaced by the next join. Use: mysql --defaults-extra-file=FILE -h HOST
[client]
user="%s"
ssl-ca="%s"
ssl-cert="%s"
ssl-key="%s"
loose-ssl-mode=VERIFY_IDENTITY
loose-ssl-verify-server-cert
`, mysqlEscape(o.config.User), g.Path+"/"+fileMySQLCAs, g.Path+"/"+fileMySQLCert, g.Path+"/"+fileMySQLKey)
	return []destination.File{
		{Name: fileMySQLCAs, Data: o.config.ServerCAs.PEM},
		{Name: fileMySQLCert, Data: cert.certPEM()},
		{Name: fileMySQLKey, Data: cert.keyPEM},
		{Name: fileMySQLConfig, Data: []byte(config)},
	}, nil
}

// mysqlEscape is for a quoted value of an option file, where a backslash escapes.
func mysqlEscape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
}

func mysqlNext(o *Database, dir string) string {
	next := "mysql --defaults-extra-file=" + ShellQuote(dir+"/"+fileMySQLConfig) + " -h HOST"
	if o.config.Name != "" {
		next += " " + ShellQuote(o.config.Name)
	}
	return next
}

// alwaysQuote is a shell word in single quotes, whatever is in it.
func alwaysQuote(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }
