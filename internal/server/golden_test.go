package server_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/test/golden"
)

// TestAnswersAreAsTheyWere compares every answer of the API, and the record that it left,
// with golden files: what is random in them is replaced.
func TestAnswersAreAsTheyWere(t *testing.T) {
	a := golden.Open(t, "api")
	var refused bytes.Buffer
	for _, p := range provocations {
		s := newService(t, func(s *service, c *server.Config) {
			if p.prepare != nil {
				p.prepare(s, c)
			}
		})
		fmt.Fprintf(&refused, "=== %s: %s\n%s%s", p.code, p.name, answerText(p.do(s)), recordTexts(t, s))
	}
	a.Compare("refused.txt", refused.Bytes())

	for name, mint := range everyMint {
		s := newService(t)
		rule := map[bool]string{true: "example-bot", false: "circle-bot"}[name == "bitbucket"]
		request := s.everything(rule, mint(s))
		said := fmt.Sprintf("=== %s\n%s", name, answerText(s.join(request)))
		said += fmt.Sprintf("again: %s%s", answerText(s.join(request)), recordTexts(t, s))
		a.Compare("granted."+strings.ReplaceAll(name, " ", "-")+".txt", []byte(said))
	}
	optionsService := newService(t)
	optionsService.apply(roleWithOptions)
	ttl := int64(7200)
	request := optionsService.bitbucketRequest()
	request.TTLSeconds, request.Client = &ttl, &api.ClientInfo{Version: "1.2.3", OS: "linux", Arch: "amd64"}
	said := answerText(optionsService.join(request)) + recordTexts(t, optionsService)
	a.Compare("granted.options.txt", []byte(said))
	a.Compare("paths.txt", pathTexts(t))
}

// knownUUIDs are those of tokens that are not random.
var knownUUIDs = []string{issuertest.WorkspaceUUID, issuertest.RepositoryUUID, environment}

const environment = "{3de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"

// everyMint mints the ID tokens of each CI.
var everyMint = map[string]func(*service) string{
	"bitbucket": func(s *service) string {
		return s.bitbucket(issuertest.BitbucketJob{DeploymentEnvironmentUUID: environment})
	},
	"circleci v2": func(s *service) string { return s.circleci(issuertest.CircleCIJob{}) },
	"circleci v1": func(s *service) string { return s.circleci(issuertest.CircleCIJob{V1: true}) },
}

// roleWithOptions is the role of exampleRules with every option.
const roleWithOptions = `
kind: role
version: v7
metadata: {name: deployer}
spec:
  allow: {logins: [deploy, ops], node_labels: {env: [prod, qa]}}
  options:
    max_session_ttl: 30m
    permit_pty: true
    port_forwarding: true
    agent_forwarding: true
    x11_forwarding: true
    pin_source_ip: true
    force_command: "echo hello"
    cert_extensions: [{type: ssh, mode: extension, name: login@github.com, value: octo-bot}]
`

// pathTexts are the answers of everything else that the API has, before and after something was revoked.
func pathTexts(t *testing.T) []byte {
	s := newService(t)
	var out bytes.Buffer
	paths := []string{api.PathHealth, api.PathAuthorities, api.PathDiscovery, api.PathJWKS, api.PathRevokedKRL, api.PathRevokedCRL, "/", "/v1"}
	for _, name := range []string{"ssh-user.pub", "ssh-host.pub", "x509-identity.pem", "x509-database.pem", "x509-application.pem", "x509-kubernetes.pem", "jwt.pem"} {
		paths = append(paths, api.PathAuthorities+"/"+name)
	}
	for _, name := range []string{"x509-identity.crl", "x509-database.crl", "x509-application.crl", "x509-kubernetes.crl", "ssh-host.krl"} {
		paths = append(paths, api.PathRevoked+"/"+name)
	}
	all := func() {
		for _, path := range paths {
			fmt.Fprintf(&out, "GET %s\n%s", path, answerText(s.do(http.MethodGet, path, nil)))
		}
	}
	all()
	for _, path := range paths {
		fmt.Fprintf(&out, "OPTIONS %s\n%s", path, answerText(s.do(http.MethodOptions, path, nil)))
	}
	s.revoke(s.granted(s.bitbucketRequest()).JoinID)
	s.clock.advance(authority.ListsMaxAge)
	out.WriteString("after one join was revoked\n")
	all()
	return out.Bytes()
}

// answerText is an answer, its status and headers included, without what is random.
func answerText(a answer) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d\n", a.status)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name == "Etag" {
			fmt.Fprintln(&out, "Etag: of the content")
		} else if name != "Date" && name != "Content-Length" {
			fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(a.header[name], ", "))
		}
	}
	body := golden.Text(a.body, knownUUIDs...)
	if strings.HasPrefix(a.body, "SSHKRL") {
		body = golden.KRL([]byte(a.body))
	}
	fmt.Fprintf(&out, "%s\n", strings.TrimSuffix(body, "\n"))
	return out.String()
}

// recordTexts are the records that a service has stored, without what is random, sorted:
// those of one moment have no order.
func recordTexts(t *testing.T, s *service) string {
	t.Helper()
	var all []string
	for _, r := range s.records() {
		encoded, err := store.EncodeRecord(r)
		must(t, err)
		all = append(all, "record: "+golden.Text(string(encoded), knownUUIDs...)+"\n")
	}
	slices.Sort(all)
	return strings.Join(all, "")
}
