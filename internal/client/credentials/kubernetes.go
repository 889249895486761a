package credentials

import (
	"crypto/x509/pkix"
	"net/url"
	"os"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	fileKubeconfig = "kubeconfig.yaml"
	optionPlugin   = "exec-plugin"
)

// Ways to log in to a cluster.
const (
	authX509 = "x509" // a client certificate of the cluster's own --client-ca-file
	authJWT  = "jwt"  // a token, for clusters that trust the service as OIDC issuer
)

func kubernetes() Kind {
	return Kind{
		Name: "kubernetes", Aliases: []string{"k8s"},
		Short:   "a kubeconfig",
		Example: "--kubernetes-server https://10.0.0.1:6443 --kubernetes-ca cluster-ca.pem --kubernetes-user ci",
		Options: []Option{
			{Name: "kubernetes-server", Help: "https URL of the API server"},
			serverCAOption("kubernetes-ca"),
			{Name: "kubernetes-cluster", Help: "name of the cluster in the kubeconfig (default gatepass)"},
			{Name: "namespace", Help: "namespace of the kubeconfig's context"},
			{Name: "auth", Default: authX509, Values: []string{authX509, authJWT}, Help: "x509, or jwt for clusters that trust the service as OIDC issuer, such as EKS"},
			{Name: "kubernetes-user", Help: "the Kubernetes user to be, with --auth=x509"},
			{Name: optionAudience, Help: "OIDC client id that the cluster expects, with --auth=jwt"},
			{Name: optionPlugin, Type: Switch, Field: "disable_exec_plugin", Opposite: true, Help: "have kubectl run `gatepass kube-credentials`, instead of credentials in the kubeconfig"},
		},
		output: newKubernetes,
	}
}

// cluster is what a kubeconfig says besides the credentials.
type cluster struct {
	server    string // https URL of the API server
	name      string // that the kubeconfig gives the cluster
	namespace string // of the kubeconfig's context; optional
	serverCAs ServerCAs
	// plugin is the command that kubectl is to run for the credentials; empty puts
	// them into the kubeconfig.
	plugin string
}

// newKubernetes is a kubeconfig with a client certificate or a token.
func newKubernetes(w *Wish, place Place) (*Output, error) {
	c, err := newCluster(w, place)
	if err != nil {
		return nil, err
	}
	o := &Output{Kind: w.Kind.Name, Place: place, known: 2 * len(c.serverCAs.PEM)}
	files, err := o.logIn(w)
	if err != nil {
		return nil, err
	}
	o.files = []file{{fileKubeconfig, c.kubeconfig}}
	if c.plugin != "" { // which finds the credentials beside the kubeconfig
		o.files = append(o.files, files...)
	}
	o.variables = func(dir string) []Variable { return []Variable{{"KUBECONFIG", dir + "/" + fileKubeconfig}} }
	o.next = func(g *granted) string { return "kubectl --kubeconfig " + g.path(fileKubeconfig) + " auth whoami" }
	return o, nil
}

// newCluster reads what is no credential.
func newCluster(w *Wish, place Place) (*cluster, error) {
	c := &cluster{server: w.Text("kubernetes-server"), name: w.Text("kubernetes-cluster"), namespace: w.Text("namespace")}
	var err error
	if c.serverCAs, err = w.serverCAs("kubernetes-ca"); err != nil {
		return nil, err
	}
	if w.Text(optionPlugin) == "true" {
		if place.Path == "" {
			return nil, cli.Misused("--exec-plugin has no meaning for a destination in memory").Hint("give a directory")
		}
		if c.plugin, err = os.Executable(); err != nil {
			return nil, cli.Failed("finding the path of gatepass: %w", err).Hint("leave out --exec-plugin")
		}
	}
	server, err := url.Parse(c.server)
	if err != nil || server.Scheme != "https" || server.Host == "" || server.User != nil {
		return nil, cli.Misused("--kubernetes-server %q is not an https URL", words.Clean(c.server)).
			Hint("give the API server's address, such as --kubernetes-server=https://10.0.0.1:6443; kubectl cluster-info prints it")
	}
	if c.name == "" {
		c.name = "gatepass"
	}
	for flag, value := range map[string]string{"kubernetes-cluster": c.name, "namespace": c.namespace} {
		if value != "" {
			if err := checkName(flag, value, "production"); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// logIn asks for the credential that --auth says, and returns it as files for the plugin.
func (o *Output) logIn(w *Wish) ([]file, error) {
	user, audience := w.Text("kubernetes-user"), w.Text(optionAudience)
	switch auth := w.Text("auth"); auth {
	case authX509, "":
		if audience != "" {
			return nil, cli.Misused("--jwt-audience has no meaning with --auth=x509").Hint("leave it out, or use --auth=jwt")
		}
		o.asks = []api.CredentialRequest{clientCert(api.CredentialRequest{Usage: api.UsageKubernetes, KubernetesUser: user})}
		o.is = func(subject pkix.Name) bool { return subject.CommonName == user }
		return []file{{fileClientCert, (*granted).certificate}, {fileClientKey, (*granted).privateKey}}, checkName("kubernetes-user", user, "ci")
	case authJWT:
		if user != "" {
			return nil, cli.Misused("--kubernetes-user has no meaning with --auth=jwt: the user is the bot").
				Hint("leave it out; in the cluster the user is bot:NAME behind the prefix that its OIDC settings give, and the groups are the bot's kubernetes_groups")
		}
		if audience == "" {
			return nil, cli.Misused("--jwt-audience is missing").
				Hint("give the client id that the cluster expects (EKS: --client-id of the identity provider); the bot's role must grant it in jwt_audiences")
		}
		o.asks = []api.CredentialRequest{askJWT(audience)}
		return []file{{fileJWT, (*granted).jwt}}, nil
	default:
		return nil, cli.Misused("--auth %q is not known", words.Clean(auth)).Hint("use --auth=x509 or --auth=jwt")
	}
}
