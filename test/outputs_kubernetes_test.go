package test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// cluster answers as an API server does that takes client certificates of the
// Kubernetes authority, and tokens of the join service as OIDC issuer.
type cluster struct {
	t        *testing.T
	verifier *oidc.IDTokenVerifier
}

func startCluster(t *testing.T, w *outputWorld) string {
	t.Helper()
	provider, err := oidc.NewProvider(within(t, time.Minute), w.URL)
	must(t, err)
	c := &cluster{t: t, verifier: provider.Verifier(&oidc.Config{ClientID: "cluster", SupportedSigningAlgs: []string{oidc.ES256}})}
	authority, err := os.ReadFile(w.authority(t, "x509-kubernetes"))
	must(t, err)
	cert, err := tls.LoadX509KeyPair(w.pki.cert, w.pki.key)
	must(t, err)
	server := httptest.NewUnstartedServer(c)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: x509.NewCertPool(), ClientAuth: tls.VerifyClientCertIfGiven}
	if !server.TLS.ClientCAs.AppendCertsFromPEM(authority) {
		t.Fatal("no authority")
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// whoIs is the user and the groups of a request (RBAC: CN and O, or claims).
func (c *cluster) whoIs(r *http.Request) (user string, groups []string) {
	if certs := r.TLS.PeerCertificates; len(certs) > 0 {
		return certs[0].Subject.CommonName, certs[0].Subject.Organization
	}
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", nil
	}
	token, err := c.verifier.Verify(r.Context(), raw)
	if err != nil {
		c.t.Logf("a token was refused: %v", err)
		return "", nil
	}
	var claims struct {
		Groups []string `json:"groups"`
	}
	if err := token.Claims(&claims); err != nil {
		return "", nil
	}
	return "oidc:" + token.Subject, claims.Groups
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	user, groups := c.whoIs(r)
	if user == "" {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "message": "Unauthorized", "code": 401})
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/selfsubjectreviews" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
		"status": map[string]any{"userInfo": map[string]any{"username": user, "groups": groups}},
	})
}

// testKubernetes logs in with client-go, from kubeconfigs of every form.
func testKubernetes(t *testing.T, w *outputWorld) {
	clientgo := filepath.Join(t.TempDir(), "clientgo")
	build := exec.CommandContext(within(t, 5*time.Minute), "go", "build", "-o", clientgo, ".")
	build.Dir = "clientgo"
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	mustSay(t, build, true, "")
	whoami := func(config string) *exec.Cmd {
		cmd := exec.CommandContext(within(t, time.Minute), clientgo, "whoami", config)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		return cmd
	}
	url := startCluster(t, w)
	args := []string{"--kubernetes-server", url, "--kubernetes-ca", w.pki.ca}
	for name, form := range map[string]struct {
		args []string
		who  string
	}{
		"certificate":            {[]string{"--kubernetes-user", "ci"}, "ci deployers,viewers\n"},
		"certificate and plugin": {[]string{"--kubernetes-user", "ci", "--exec-plugin"}, "ci deployers,viewers\n"},
		"token":                  {[]string{"--auth", "jwt", "--jwt-audience", "cluster"}, "oidc:bot:example deployers,viewers\n"},
		"token and plugin":       {[]string{"--auth", "jwt", "--jwt-audience", "cluster", "--exec-plugin"}, "oidc:bot:example deployers,viewers\n"},
	} {
		t.Run(name, func(t *testing.T) {
			set := w.Join(t, "example", "kubernetes", append(args, form.args...)...)
			mustSay(t, whoami(file(set, "kubeconfig.yaml")), true, form.who)
			if !strings.Contains(name, "plugin") {
				return
			}
			answer, err := exec.Command(binary(t, "gatepass"), "kube-credentials", set).Output()
			must(t, err)
			validate := exec.Command(clientgo, "validate")
			validate.Stdin = strings.NewReader(string(answer))
			mustSay(t, validate, true, map[bool]string{true: `"token":true`, false: `"certificate":true`}[strings.HasPrefix(name, "token")])
			validate = exec.Command(clientgo, "validate")
			validate.Stdin = strings.NewReader(strings.Replace(string(answer), `"status":{`, `"status":{"bogus":1,`, 1))
			mustSay(t, validate, false, "bogus")
			// After logout the plugin has nothing to give.
			mustSay(t, exec.Command(binary(t, "gatepass"), "logout", set), true, "removed")
			mustSay(t, whoami(file(set, "kubeconfig.yaml")), false, "")
		})
	}
	t.Run("others", func(t *testing.T) {
		// A token for another audience, and a certificate of another authority, are nobody's.
		set := w.Join(t, "example", "kubernetes", append(args, "--auth", "jwt", "--jwt-audience", "https://vault.example.com")...)
		mustSay(t, whoami(file(set, "kubeconfig.yaml")), false, "Unauthorized")
		set = w.Join(t, "example", "kubernetes", append(args, "--kubernetes-user", "ci", "--exec-plugin")...)
		app := w.Join(t, "example", "application", "--app", "grafana", "--server-ca", w.pki.ca)
		for _, name := range []string{"tls.crt", "tls.key"} {
			raw, err := os.ReadFile(file(app, name))
			must(t, err)
			path, err := filepath.EvalSymlinks(file(set, name))
			must(t, err)
			must(t, os.WriteFile(path, raw, 0o600))
		}
		mustSay(t, whoami(file(set, "kubeconfig.yaml")), false, "tls: ")
		// The server's own certificate is checked.
		wrong := w.Join(t, "example", "kubernetes", "--kubernetes-server", url, "--kubernetes-ca", w.authority(t, "x509-identity"), "--kubernetes-user", "ci")
		mustSay(t, whoami(file(wrong, "kubeconfig.yaml")), false, "x509: ")
	})
}
