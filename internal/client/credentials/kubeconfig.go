package credentials

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// execCredentialVersion is of the exec plugin protocol, stable since Kubernetes 1.22.
const execCredentialVersion = "client.authentication.k8s.io/v1"

// kubeconfig is the file's shape, as far as it is written or read (k8s.io/client-go/tools/clientcmd/api/v1).
type kubeconfig struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Clusters   []kubeNamed `json:"clusters"`
	Users      []kubeNamed `json:"users"`
	Contexts   []kubeNamed `json:"contexts"`
	Current    string      `json:"current-context"`
}

type kubeNamed struct {
	Name    string       `json:"name"`
	Cluster *kubeCluster `json:"cluster,omitempty"`
	User    *kubeUser    `json:"user,omitempty"`
	Context *kubeContext `json:"context,omitempty"`
}

type kubeCluster struct {
	Server string `json:"server"`
	CA     string `json:"certificate-authority-data,omitempty" yaml:"certificate-authority-data"` // base64 of PEM
}

type kubeContext struct {
	Cluster   string `json:"cluster"`
	User      string `json:"user"`
	Namespace string `json:"namespace,omitempty"`
}

type kubeUser struct {
	Certificate string    `json:"client-certificate-data,omitempty" yaml:"client-certificate-data"` // base64 of PEM
	Key         string    `json:"client-key-data,omitempty" yaml:"client-key-data"`
	Token       string    `json:"token,omitempty"`
	Exec        *kubeExec `json:"exec,omitempty"`
}

type kubeExec struct {
	APIVersion      string   `json:"apiVersion"`
	Command         string   `json:"command"`
	Args            []string `json:"args"`
	InteractiveMode string   `json:"interactiveMode"`
	InstallHint     string   `json:"installHint"`
}

// kubeconfig is the file with one cluster, one user and one context. JSON is YAML
// too (YAML 1.2 §1.3), and its encoder is in the client already.
func (c *cluster) kubeconfig(g *granted) ([]byte, error) {
	user, err := c.user(g)
	if err != nil {
		return nil, err
	}
	shown := kubeCluster{Server: c.server}
	if !c.serverCAs.System {
		shown.CA = base64.StdEncoding.EncodeToString(c.serverCAs.PEM)
	}
	const userName = "gatepass"
	var out bytes.Buffer
	out.WriteString("# Written by gatepass; replaced by the next join.\n")
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(kubeconfig{
		APIVersion: "v1", Kind: "Config", Current: c.name,
		Clusters: []kubeNamed{{Name: c.name, Cluster: &shown}},
		Users:    []kubeNamed{{Name: userName, User: user}},
		Contexts: []kubeNamed{{Name: c.name, Context: &kubeContext{Cluster: c.name, User: userName, Namespace: c.namespace}}},
	})
	return out.Bytes(), err
}

// user is the credentials, or what kubectl runs to have them.
func (c *cluster) user(g *granted) (*kubeUser, error) {
	if c.plugin != "" {
		return &kubeUser{Exec: &kubeExec{
			APIVersion:      execCredentialVersion,
			Command:         c.plugin,
			Args:            []string{"kube-credentials", g.dir},
			InteractiveMode: "Never",
			InstallHint:     "this kubeconfig takes its credentials from gatepass, which was at " + c.plugin,
		}}, nil
	}
	if g.cert == nil {
		return &kubeUser{Token: g.token.text}, nil
	}
	key, err := g.key.pem()
	encode := base64.StdEncoding.EncodeToString
	return &kubeUser{Certificate: encode(pemCertificates([]*x509.Certificate{g.cert})), Key: encode(key)}, err
}

// execCredential is the answer of an exec plugin (k8s.io/client-go/pkg/apis/clientauthentication/v1).
type execCredential struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Status     execStatus `json:"status"`
}

type execStatus struct {
	Expires     time.Time `json:"expirationTimestamp"`
	Token       string    `json:"token,omitempty"`
	Certificate string    `json:"clientCertificateData,omitempty"`
	Key         string    `json:"clientKeyData,omitempty"`
}

// ExecCredential reads the credentials of a kubernetes output from its directory,
// and returns what an exec plugin answers. It refuses what has expired: the
// cluster's "Unauthorized" would say less.
func ExecCredential(dir string, now time.Time) ([]byte, error) {
	answer := execCredential{APIVersion: execCredentialVersion, Kind: "ExecCredential"}
	status, err := readKubeCredentials(dir)
	if err != nil {
		return nil, err
	}
	if !status.Expires.After(now) {
		return nil, cli.Failed("the credentials in %s expired at %s", dir, status.Expires.UTC().Format(time.RFC3339)).
			Hint("join again: gatepass join kubernetes --destination %s …", dir)
	}
	answer.Status = status
	return json.Marshal(answer)
}

// readKubeCredentials takes all files from one set: while they are read a
// renewal may exchange it, so the set is looked up once.
func readKubeCredentials(dir string) (execStatus, error) {
	root, err := os.OpenRoot(destination.CurrentSet(dir))
	if err != nil {
		return execStatus{}, noKubeCredentials(dir, err)
	}
	defer root.Close()
	if token, err := root.ReadFile(fileJWT); err == nil {
		text := strings.TrimSpace(string(token))
		expires, err := jwtExpiry(text)
		return execStatus{Token: text, Expires: expires}, err
	}
	cert, err := root.ReadFile(fileClientCert)
	if err != nil {
		return execStatus{}, noKubeCredentials(dir, err)
	}
	key, err := root.ReadFile(fileClientKey)
	if err != nil {
		return execStatus{}, noKubeCredentials(dir, err)
	}
	certs, err := parseCertificates(string(cert))
	if err != nil || len(certs) == 0 {
		return execStatus{}, cli.Failed("%s in %s is not a certificate", fileClientCert, dir).Hint("join again")
	}
	return execStatus{Certificate: string(cert), Key: string(key), Expires: certs[0].NotAfter}, nil
}

func noKubeCredentials(dir string, err error) error {
	return cli.Failed("no Kubernetes credentials in %s: %w", dir, err).
		Hint("write them with: gatepass join kubernetes --exec-plugin --destination %s …", dir)
}

func jwtExpiry(token string) (time.Time, error) {
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if err := readClaims(token, &claims); err != nil || claims.Expires <= 0 {
		return time.Time{}, cli.Failed("the file %s is not a JWT", fileJWT).Hint("join again")
	}
	return sshTime(uint64(claims.Expires)), nil
}
