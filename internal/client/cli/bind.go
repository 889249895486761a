package cli

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

func bindIdentity(flags *pflag.FlagSet) func(place) (credentials.Output, error) {
	var hosts []string
	var known string
	flags.StringArrayVar(&hosts, "ssh-hosts", nil, "host pattern that the service's SSH host authority vouches for; repeatable (default *)")
	flags.StringVar(&known, "known-hosts", "", "known_hosts file with the keys of hosts that have no certificate")
	return func(p place) (credentials.Output, error) {
		config := credentials.IdentityConfig{Path: p.path, Roles: p.roles, Access: p.access, SSHHosts: hosts}
		if known != "" {
			raw, err := os.ReadFile(known)
			if err != nil {
				return nil, failure.New(failure.Usage, "reading the known_hosts file: %w", err).
					Hint("make it with: ssh-keyscan HOST > FILE, and compare its fingerprints with the host's")
			}
			config.KnownHosts = raw
		}
		return credentials.NewIdentity(config)
	}
}

func bindDatabase(flags *pflag.FlagSet) func(place) (credentials.Output, error) {
	var config credentials.DatabaseConfig
	var ca string
	flags.StringVar(&config.User, "username", "", "the database user to be")
	flags.StringVar(&config.User, "db-user", "", "another name for --username")
	flags.StringVar(&config.Name, "database", "", "the database to use; optional")
	flags.StringVar(&config.Name, "db-name", "", "another name for --database")
	flags.StringVar(&config.Format, "format", "default", "of the files: default (PostgreSQL and most others), mongo, cockroach, mysql or pkcs12 (Java)")
	bindServerCA(flags, &ca, "server-ca")
	return func(p place) (credentials.Output, error) {
		cas, err := serverCAs("server-ca", ca)
		if err != nil {
			return nil, err
		}
		config.Path, config.Roles, config.Access, config.ServerCAs = p.path, p.roles, p.access, cas
		return credentials.NewDatabase(config)
	}
}

func bindApplication(flags *pflag.FlagSet) func(place) (credentials.Output, error) {
	var config credentials.ApplicationConfig
	var ca string
	flags.StringVar(&config.App, "app", "", "name of the application, one of the role's app_names")
	bindServerCA(flags, &ca, "server-ca")
	return func(p place) (credentials.Output, error) {
		cas, err := serverCAs("server-ca", ca)
		if err != nil {
			return nil, err
		}
		config.Path, config.Roles, config.Access, config.ServerCAs = p.path, p.roles, p.access, cas
		return credentials.NewApplication(config)
	}
}

func bindKubernetes(flags *pflag.FlagSet) func(place) (credentials.Output, error) {
	var config credentials.KubernetesConfig
	var ca string
	var plugin bool
	flags.StringVar(&config.Server, "kubernetes-server", "", "https URL of the API server")
	bindServerCA(flags, &ca, "kubernetes-ca")
	flags.StringVar(&config.Cluster, "kubernetes-cluster", "", "name of the cluster in the kubeconfig (default gatepass)")
	flags.StringVar(&config.Namespace, "namespace", "", "namespace of the kubeconfig's context")
	flags.StringVar(&config.Auth, "auth", credentials.AuthX509, "x509, or jwt for clusters that trust the service as OIDC issuer, such as EKS")
	flags.StringVar(&config.User, "kubernetes-user", "", "the Kubernetes user to be, with --auth=x509")
	flags.StringVar(&config.Audience, "jwt-audience", "", "OIDC client id that the cluster expects, with --auth=jwt")
	flags.BoolVar(&plugin, "exec-plugin", false, "have kubectl run `gatepass kube-credentials`, instead of credentials in the kubeconfig")
	return func(p place) (credentials.Output, error) {
		cas, err := serverCAs("kubernetes-ca", ca)
		if err != nil {
			return nil, err
		}
		if plugin {
			if p.path == "" {
				return nil, failure.New(failure.Usage, "--exec-plugin has no meaning for a destination in memory").Hint("give a directory")
			}
			if config.Plugin, err = os.Executable(); err != nil {
				return nil, failure.New(failure.Local, "finding the path of gatepass: %w", err).Hint("leave out --exec-plugin")
			}
		}
		config.Path, config.Roles, config.Access, config.ServerCAs = p.path, p.roles, p.access, cas
		return credentials.NewKubernetes(config)
	}
}

func bindJWT(flags *pflag.FlagSet) func(place) (credentials.Output, error) {
	var audience string
	flags.StringVar(&audience, "jwt-audience", "", "whom the token is for, one of the role's jwt_audiences")
	return func(p place) (credentials.Output, error) {
		return credentials.NewJWT(credentials.JWTConfig{Path: p.path, Roles: p.roles, Access: p.access, Audience: audience})
	}
}

const systemCAs = "system"

func bindServerCA(flags *pflag.FlagSet, ca *string, name string) {
	flags.StringVar(ca, name, systemCAs, "what the server's certificate is checked by: a PEM file, or system")
}

// bundles are where systems keep the authorities that they trust; the first that is there counts.
var bundles = [...]string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
	"/etc/pki/tls/certs/ca-bundle.crt",                  // older RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/ssl/cert.pem",                                 // macOS, BSD
}

// serverCAs reads the file, or the system's bundle.
func serverCAs(flag, value string) (credentials.ServerCAs, error) {
	if value != systemCAs && value != "" {
		raw, err := os.ReadFile(value)
		if err != nil {
			return credentials.ServerCAs{}, failure.New(failure.Usage, "reading --%s: %w", flag, err).
				Hint("it names a PEM file with the authority of the server's certificate, or is the word system")
		}
		return credentials.NewServerCAs(value, raw, false)
	}
	files := bundles[:]
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		files = []string{file}
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return credentials.ServerCAs{}, failure.New(failure.Local, "reading the system's authorities: %w", err).Hint("give --%s FILE", flag)
		}
		return credentials.NewServerCAs(file, raw, true)
	}
	return credentials.ServerCAs{}, failure.New(failure.Local, "this system has no bundle of authorities to check the server by").
		Hint("install ca-certificates, or give --%s FILE with the authority of the server's certificate", flag)
}
