package credentials

import (
	"crypto/x509/pkix"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func database() Kind {
	return Kind{
		Name: "database", Aliases: []string{"db"},
		Short:   "a client certificate of a database user",
		Example: "--username app --database orders --server-ca db-ca.pem",
		Options: []Option{
			{Name: "username", Other: "db-user", Help: "the database user to be"},
			{Name: "database", Other: "db-name", Help: "the database to use; optional"},
			formatOption(),
			serverCAOption("server-ca"),
		},
		Ignored: []Ignored{{"service", "programs connect to the database themselves"}},
		output:  newDatabase,
	}
}

// databaseUser is whom a certificate is for, and what its files hold besides.
type databaseUser struct {
	user      string
	database  string // optional
	serverCAs ServerCAs
}

// databaseFormat is one family of databases: form says in which files its programs
// take a certificate, and refuses what these have no way to say.
type databaseFormat struct {
	name string
	note string // what is not known by the name
	form func(databaseUser, *Output) error
}

// databaseFormats are the values of --format. A new one is an entry here and its form.
func databaseFormats() []databaseFormat {
	return []databaseFormat{
		{"default", "PostgreSQL and most others", postgres},
		{"mongo", "", mongo},
		{"cockroach", "", cockroach},
		{"mysql", "", mysql},
		{"pkcs12", "Java", keystore},
	}
}

func formatOption() Option {
	var names, shown []string
	for _, format := range databaseFormats() {
		names = append(names, format.name)
		if format.note != "" {
			format.name += " (" + format.note + ")"
		}
		shown = append(shown, format.name)
	}
	last := len(shown) - 1
	help := "of the files: " + strings.Join(shown[:last], ", ") + " or " + shown[last]
	return Option{Name: "format", Default: names[0], Values: names, Help: help}
}

// newDatabase is a client certificate in the form that a database's programs read.
func newDatabase(w *Wish, place Place) (*Output, error) {
	cas, err := w.serverCAs("server-ca")
	if err != nil {
		return nil, err
	}
	db := databaseUser{user: w.Text("username"), database: w.Text("database"), serverCAs: cas}
	if err := checkName("username", db.user, "app"); err != nil {
		return nil, err
	}
	if db.database != "" {
		if err := checkName("database", db.database, "orders"); err != nil {
			return nil, err
		}
	}
	format, err := findFormat(w.Text("format"))
	if err != nil {
		return nil, err
	}
	o := &Output{
		Kind: w.Kind.Name, Place: place, known: 2 * len(cas.PEM),
		asks: []api.CredentialRequest{clientCert(api.CredentialRequest{Usage: api.UsageDatabase, DBUser: db.user, DBName: db.database})},
		is: func(subject pkix.Name) bool {
			return subject.CommonName == db.user && only(subject.OrganizationalUnit, db.database)
		},
	}
	return o, format.form(db, o)
}

func findFormat(name string) (databaseFormat, error) {
	formats := databaseFormats()
	if name == "" || name == "tls" { // tbot's name for the same files
		return formats[0], nil
	}
	i := slices.IndexFunc(formats, func(f databaseFormat) bool { return f.name == name })
	if i >= 0 {
		return formats[i], nil
	}
	return databaseFormat{}, cli.Misused("--format %q is not a database's", words.Clean(name)).
		Hint("use one of %s; the report's format is --report", strings.Join(formatOption().Values, ", "))
}
