package credentials

import (
	"crypto/x509/pkix"
	"io"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TypeDatabase is the output for databases that know their users by client certificate.
const TypeDatabase = "database"

// DatabaseConfig says which user of which database a certificate is for.
type DatabaseConfig struct {
	Path      string
	Roles     []string // narrows the credential; empty means all of the bot's
	User      string
	Name      string // of the database; optional
	Format    string // one of DatabaseFormats; empty means default
	ServerCAs ServerCAs
	Access    destination.Access
}

// Database is a client certificate in the form that a database's programs read.
type Database struct {
	place
	config DatabaseConfig
	format databaseFormat
	cert   clientCert
	random io.Reader // of the request: PKCS#12 needs a password
}

var _ Output = (*Database)(nil)

// databaseFormat is one family of databases.
type databaseFormat struct {
	name  string
	names func(*Database) []string
	files func(*Database, Granted, grantedCert) ([]destination.File, error)
	next  func(o *Database, dir string) string
}

func databaseFormats() []databaseFormat {
	return []databaseFormat{
		{"default", postgresNames, postgresFiles, postgresNext},
		{"mongo", mongoNames, mongoFiles, mongoNext},
		{"cockroach", cockroachNames, cockroachFiles, cockroachNext},
		{"mysql", mysqlNames, mysqlFiles, mysqlNext},
		{"pkcs12", pkcs12Names, pkcs12Files, pkcs12Next},
	}
}

// DatabaseFormats are the values of --format.
func DatabaseFormats() []string {
	var names []string
	for _, format := range databaseFormats() {
		names = append(names, format.name)
	}
	return names
}

// NewDatabase checks the configuration.
func NewDatabase(config DatabaseConfig) (*Database, error) {
	if err := checkName("username", config.User, "app"); err != nil {
		return nil, err
	}
	if config.Name != "" {
		if err := checkName("database", config.Name, "orders"); err != nil {
			return nil, err
		}
	}
	formats := databaseFormats()
	if config.Format == "" || config.Format == "tls" { // tbot's name for the same files
		config.Format = formats[0].name
	}
	i := slices.IndexFunc(formats, func(f databaseFormat) bool { return f.name == config.Format })
	if i < 0 {
		return nil, failure.New(failure.Usage, "--format %q is not a database's", failure.Clean(config.Format)).
			Hint("use one of %s; the report's format is --report", strings.Join(DatabaseFormats(), ", "))
	}
	o := &Database{
		place:  place{path: config.Path, access: config.Access, size: 2 * len(config.ServerCAs.PEM)},
		config: config, format: formats[i],
		cert: clientCert{
			wish: api.CredentialRequest{Usage: api.UsageDatabase, DBUser: config.User, DBName: config.Name, Roles: config.Roles},
			check: func(subject pkix.Name) bool {
				return subject.CommonName == config.User && only(subject.OrganizationalUnit, config.Name)
			},
		},
	}
	return o, o.checkFormat()
}

// checkFormat refuses what a format's files have no way to say.
func (o *Database) checkFormat() error {
	switch o.format.name {
	case "cockroach":
		if strings.ContainsAny(o.config.User, "/\\") {
			return failure.New(failure.Usage, "--username %q cannot be in a file name, as cockroach has it", failure.Clean(o.config.User)).Hint("use another format")
		}
	case "mysql":
		if o.config.Path == "" {
			return nil
		}
		return checkConfigPath(o.config.Path)
	}
	return nil
}

// Type implements Output.
func (*Database) Type() string { return TypeDatabase }

// Names implements Output.
func (o *Database) Names() []string { return o.format.names(o) }

// Request implements Output.
func (o *Database) Request(prefix string, random io.Reader) ([]api.CredentialRequest, error) {
	o.random = random
	return o.cert.request(prefix, random)
}

// Accept implements Output.
func (o *Database) Accept(g Granted) (*Result, error) {
	granted, err := o.cert.accept(g)
	if err != nil {
		return nil, err
	}
	files, err := o.format.files(o, g, granted)
	if err != nil {
		return nil, err
	}
	return &Result{
		Files:   files,
		Subject: granted.cert.Subject.String(),
		Expires: granted.cert.NotAfter,
		Next:    o.format.next(o, g.Path),
	}, nil
}
