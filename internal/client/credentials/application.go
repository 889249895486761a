package credentials

import (
	"crypto/x509/pkix"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

func application() Kind {
	return Kind{
		Name: "application", Aliases: []string{"app"},
		Short:   "a client certificate for a web application",
		Example: "--app grafana",
		Options: []Option{
			{Name: "app", Field: "app_name", Help: "name of the application, one of the role's app_names"},
			serverCAOption("server-ca"),
		},
		Ignored: []Ignored{{"specific_tls_naming", "the files are always tls.crt, tls.key and tls.cas"}},
		output:  newApplication,
	}
}

// newApplication is a client certificate for an application.
func newApplication(w *Wish, place Place) (*Output, error) {
	cas, err := w.serverCAs("server-ca")
	if err != nil {
		return nil, err
	}
	app := w.Text("app")
	if err := checkName("app", app, "grafana"); err != nil {
		return nil, err
	}
	return &Output{
		Kind: w.Kind.Name, Place: place, known: len(cas.PEM),
		asks:  []api.CredentialRequest{clientCert(api.CredentialRequest{Usage: api.UsageApplication, App: app})},
		is:    func(subject pkix.Name) bool { return only(subject.OrganizationalUnit, app) },
		files: tlsFiles(cas),
		next: func(g *granted) string {
			return "curl --cert " + g.path(fileClientCert) + " --key " + g.path(fileClientKey) + " --cacert " + g.path(fileServerCAs) + " https://HOST"
		},
	}, nil
}
