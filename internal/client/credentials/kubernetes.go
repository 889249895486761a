package credentials

import (
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net/url"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TypeKubernetes is the output for kubectl and everything built on client-go.
const TypeKubernetes = "kubernetes"

const fileKubeconfig = "kubeconfig.yaml"

// Ways to log in to a cluster.
const (
	AuthX509 = "x509" // a client certificate of the cluster's own --client-ca-file
	AuthJWT  = "jwt"  // a token, for clusters that trust the service as OIDC issuer
)

// KubernetesConfig says which cluster a kubeconfig is for, and as whom.
type KubernetesConfig struct {
	Path      string
	Roles     []string // narrows the credential; empty means all of the bot's
	Server    string   // https URL of the API server
	ServerCAs ServerCAs
	Cluster   string // the name that the kubeconfig gives the cluster; empty means gatepass
	Namespace string // of the kubeconfig's context; optional
	Auth      string // AuthX509 or AuthJWT; empty means AuthX509
	User      string // the Kubernetes user of a certificate
	Audience  string // of a token: the cluster's OIDC client id
	// Plugin is the command that kubectl is to run for the credentials; empty
	// puts them into the kubeconfig.
	Plugin string
	Access destination.Access
}

// Kubernetes is a kubeconfig with a client certificate or a token.
type Kubernetes struct {
	place
	config KubernetesConfig
	cert   clientCert
	token  jwtWish
}

var _ Output = (*Kubernetes)(nil)

// NewKubernetes checks the configuration.
func NewKubernetes(config KubernetesConfig) (*Kubernetes, error) {
	server, err := url.Parse(config.Server)
	if err != nil || server.Scheme != "https" || server.Host == "" || server.User != nil {
		return nil, failure.New(failure.Usage, "--kubernetes-server %q is not an https URL", failure.Clean(config.Server)).
			Hint("give the API server's address, such as --kubernetes-server=https://10.0.0.1:6443; kubectl cluster-info prints it")
	}
	if config.Cluster == "" {
		config.Cluster = "gatepass"
	}
	if config.Auth == "" {
		config.Auth = AuthX509
	}
	for flag, value := range map[string]string{"kubernetes-cluster": config.Cluster, "namespace": config.Namespace} {
		if value != "" {
			if err := checkName(flag, value, "production"); err != nil {
				return nil, err
			}
		}
	}
	o := &Kubernetes{
		place:  place{path: config.Path, access: config.Access, size: 2 * len(config.ServerCAs.PEM)},
		config: config,
		cert: clientCert{
			wish:  api.CredentialRequest{Usage: api.UsageKubernetes, KubernetesUser: config.User, Roles: config.Roles},
			check: func(subject pkix.Name) bool { return subject.CommonName == config.User },
		},
		token: jwtWish{audience: config.Audience, roles: config.Roles},
	}
	return o, o.checkAuth()
}

func (o *Kubernetes) checkAuth() error {
	switch o.config.Auth {
	case AuthX509:
		if o.config.Audience != "" {
			return failure.New(failure.Usage, "--jwt-audience has no meaning with --auth=x509").Hint("leave it out, or use --auth=jwt")
		}
		return checkName("kubernetes-user", o.config.User, "ci")
	case AuthJWT:
		if o.config.User != "" {
			return failure.New(failure.Usage, "--kubernetes-user has no meaning with --auth=jwt: the user is the bot").
				Hint("leave it out; in the cluster the user is bot:NAME behind the prefix that its OIDC settings give, and the groups are the bot's kubernetes_groups")
		}
		if o.config.Audience == "" {
			return failure.New(failure.Usage, "--jwt-audience is missing").
				Hint("give the client id that the cluster expects (EKS: --client-id of the identity provider); the bot's role must grant it in jwt_audiences")
		}
		return nil
	}
	return failure.New(failure.Usage, "--auth %q is not known", failure.Clean(o.config.Auth)).Hint("use --auth=x509 or --auth=jwt")
}

// Type implements Output.
func (*Kubernetes) Type() string { return TypeKubernetes }

// Names implements Output. A plugin finds the credentials beside the kubeconfig.
func (o *Kubernetes) Names() []string {
	switch {
	case o.config.Plugin == "":
		return []string{fileKubeconfig}
	case o.config.Auth == AuthJWT:
		return []string{fileKubeconfig, fileJWT}
	}
	return []string{fileKubeconfig, fileClientCert, fileClientKey}
}

// Request implements Output.
func (o *Kubernetes) Request(prefix string, random io.Reader) ([]api.CredentialRequest, error) {
	if o.config.Auth == AuthJWT {
		return o.token.request(prefix), nil
	}
	return o.cert.request(prefix, random)
}

// Accept implements Output.
func (o *Kubernetes) Accept(g Granted) (*Result, error) {
	user, result, err := o.acceptUser(g)
	if err != nil {
		return nil, err
	}
	if o.config.Plugin != "" {
		user = kubeUser{Exec: &kubeExec{
			APIVersion:      execCredentialVersion,
			Command:         o.config.Plugin,
			Args:            []string{"kube-credentials", g.Path},
			InteractiveMode: "Never",
			InstallHint:     "this kubeconfig takes its credentials from gatepass, which was at " + o.config.Plugin,
		}}
	} else {
		result.Files = nil
	}
	data, err := o.kubeconfig(user)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", fileKubeconfig, err)
	}
	result.Files = append([]destination.File{{Name: fileKubeconfig, Data: data}}, result.Files...)
	result.Next = "kubectl --kubeconfig " + ShellQuote(g.Path+"/"+fileKubeconfig) + " auth whoami"
	return result, nil
}

// acceptUser returns the credentials as a kubeconfig holds them, and as files for the plugin.
func (o *Kubernetes) acceptUser(g Granted) (kubeUser, *Result, error) {
	if o.config.Auth == AuthJWT {
		token, err := o.token.accept(g)
		if err != nil {
			return kubeUser{}, nil, err
		}
		return kubeUser{Token: token.text}, &Result{
			Files:   []destination.File{{Name: fileJWT, Data: []byte(token.text)}},
			Subject: token.subject, Expires: token.expires,
		}, nil
	}
	cert, err := o.cert.accept(g)
	if err != nil {
		return kubeUser{}, nil, err
	}
	return kubeUser{Certificate: base64of(cert.certPEM()), Key: base64of(cert.keyPEM)}, &Result{
		Files: []destination.File{
			{Name: fileClientCert, Data: cert.certPEM()},
			{Name: fileClientKey, Data: cert.keyPEM},
		},
		Subject: cert.cert.Subject.String(), Expires: cert.cert.NotAfter,
	}, nil
}
