package credentials

import (
	"crypto/x509/pkix"
	"io"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TypeApplication is the output for a web application behind TLS client certificates.
const TypeApplication = "application"

// ApplicationConfig says which application a certificate is for.
type ApplicationConfig struct {
	Path      string
	Roles     []string // narrows the credential; empty means all of the bot's
	App       string
	ServerCAs ServerCAs
	Access    destination.Access
}

// Application is a client certificate for an application.
type Application struct {
	place
	config ApplicationConfig
	cert   clientCert
}

var _ Output = (*Application)(nil)

// NewApplication checks the configuration.
func NewApplication(config ApplicationConfig) (*Application, error) {
	if err := checkName("app", config.App, "grafana"); err != nil {
		return nil, err
	}
	return &Application{
		place:  place{path: config.Path, access: config.Access, size: len(config.ServerCAs.PEM)},
		config: config,
		cert: clientCert{
			wish:  api.CredentialRequest{Usage: api.UsageApplication, App: config.App, Roles: config.Roles},
			check: func(subject pkix.Name) bool { return only(subject.OrganizationalUnit, config.App) },
		},
	}, nil
}

// Type implements Output.
func (*Application) Type() string { return TypeApplication }

// Names implements Output.
func (*Application) Names() []string { return []string{fileClientCert, fileClientKey, fileServerCAs} }

// Request implements Output.
func (o *Application) Request(prefix string, random io.Reader) ([]api.CredentialRequest, error) {
	return o.cert.request(prefix, random)
}

// Accept implements Output.
func (o *Application) Accept(g Granted) (*Result, error) {
	granted, err := o.cert.accept(g)
	if err != nil {
		return nil, err
	}
	file := func(name string) string { return ShellQuote(g.Path + "/" + name) }
	return &Result{
		Files:   tlsFiles(granted, o.config.ServerCAs.PEM),
		Subject: granted.cert.Subject.String(),
		Expires: granted.cert.NotAfter,
		Next:    "curl --cert " + file(fileClientCert) + " --key " + file(fileClientKey) + " --cacert " + file(fileServerCAs) + " https://HOST",
	}, nil
}
