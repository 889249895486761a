package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// service is a join service that believes every ID token, really signs, and
// misbehaves on demand.
type service struct {
	*httptest.Server
	sshCA  ssh.Signer
	hostCA ssh.Signer
	x509CA *x509.Certificate
	caKey  *ecdsa.PrivateKey

	mu     sync.Mutex
	faults []string // one for each coming request; the last one, if it begins with +, stays
	bodies [][]byte
}

// newService starts one on loopback.
func newService(t testing.TB, withTLS bool) *service {
	t.Helper()
	s := &service{sshCA: newSigner(t), hostCA: newSigner(t)}
	s.caKey = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gatepass x509-identity"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &s.caKey.PublicKey, s.caKey)
	must(t, err)
	s.x509CA, err = x509.ParseCertificate(der)
	must(t, err)
	if withTLS {
		s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	} else {
		s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	}
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func newSigner(t testing.TB) ssh.Signer {
	signer, err := ssh.NewSignerFromKey(newKey(t))
	must(t, err)
	return signer
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

func (s *service) setFaults(faults ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.bodies = faults, nil
}

func (s *service) requests() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.bodies...)
}

func (s *service) nextFault(body []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies, body)
	if len(s.faults) == 0 {
		return ""
	}
	fault := s.faults[0]
	if strings.HasPrefix(fault, "+") {
		return fault[1:]
	}
	s.faults = s.faults[1:]
	return fault
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fault := s.nextFault(body)
	if r.URL.Path == api.PathHealth && r.Method == http.MethodGet {
		health(w, fault)
		return
	}
	var request api.JoinRequest
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil || r.URL.Path != api.PathJoin || r.Method != http.MethodPost {
		problem(w, api.NewProblem(api.CodeMalformedRequest, fmt.Sprint(r.URL.Path, err)))
		return
	}
	if misbehave(w, fault, request) {
		return
	}
	response, err := s.sign(request, fault)
	if err != nil {
		problem(w, api.NewProblem(api.CodeMalformedRequest, err.Error()))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(response)
}

// health answers GET /healthz; the fault date:N puts its clock N seconds ahead.
func health(w http.ResponseWriter, fault string) {
	if kind, argument, _ := strings.Cut(fault, ":"); kind == "date" {
		ahead, _ := time.ParseDuration(argument + "s")
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
	} else if misbehave(w, fault, api.JoinRequest{}) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(api.Health{Status: "ok", Version: "test"})
}

// misbehave answers in place of a join, if the fault is one of the answer's.
func misbehave(w http.ResponseWriter, fault string, request api.JoinRequest) bool {
	kind, argument, _ := strings.Cut(fault, ":")
	switch kind {
	case "code":
		p := api.NewProblem(api.Code(argument), "told by the test; \x1b[31mred\nsecond line "+request.IDToken)
		p.JoinID = "01JTESTJOIN"
		if p.Code == api.CodeNoRuleMatched {
			p.Presented = map[string][]string{"branch_name": {"feature/x"}, "workspace_uuid": {"{w}"}}
			p.UnmatchedFields = []string{"branch_name", "deployment_environment_uuid"}
		}
		problem(w, p)
	case "busy":
		w.Header().Set("Retry-After", argument)
		problem(w, api.NewProblem(api.CodeStoreUnavailable, "the store is away"))
	case "html":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(map[string]int{"200": 200, "403": 403, "404": 404, "502": 502}[argument])
		io.WriteString(w, "<html>proxy</html>")
	case "gateway":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"message":"Too Many Requests"}`)
	case "redirect":
		w.Header().Set("Location", "https://elsewhere.example.com/v1/join?x="+request.IDToken)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case "huge":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"join_id":"`+strings.Repeat("x", 2<<20)+`"}`)
	case "break":
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			connection.Close()
		}
	case "hang":
		time.Sleep(2 * time.Second)
	default:
		answer, ok := hostileAnswers[kind]
		if ok {
			answer(w, request)
		}
		return ok
	}
	return true
}

func problem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", api.ProblemContentType)
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// sign grants everything. Faults that begin with "cert-" spoil the product.
func (s *service) sign(request api.JoinRequest, fault string) (*api.JoinResponse, error) {
	ttl := int64(900)
	if request.TTLSeconds != nil {
		ttl = *request.TTLSeconds
	}
	until := time.Now().Add(time.Duration(ttl) * time.Second)
	if fault == "cert-expired" {
		until = time.Now().Add(-time.Second)
	}
	response := &api.JoinResponse{
		JoinID: "01JTESTJOIN", Bot: "example", ExpiresAt: until.UTC(), TTLSeconds: ttl, TTLLimitedBy: "role:deployer",
		Authorities: api.Authorities{
			SSHUser: []string{line(s.sshCA.PublicKey())},
			SSHHost: []string{line(s.hostCA.PublicKey())},
			X509:    make(map[string]string),
		},
	}
	for _, usage := range []string{api.UsageIdentity, api.UsageDatabase, api.UsageApplication, api.UsageKubernetes} {
		response.Authorities.X509[usage] = string(pemOf(s.x509CA.Raw))
	}
	switch fault {
	case "cert-no-authority":
		response.Authorities.SSHUser = nil
	case "cert-other-authority":
		response.Authorities.SSHUser = response.Authorities.SSHHost
	}
	for _, wanted := range request.Credentials {
		granted, err := s.signOne(wanted, fault, until)
		if err != nil {
			return nil, err
		}
		response.Credentials = append(response.Credentials, granted)
	}
	if change, ok := hostileGrants[fault]; ok {
		change(response, request)
	}
	return response, nil
}

func (s *service) signOne(wanted api.CredentialRequest, fault string, until time.Time) (api.Credential, error) {
	if wanted.Type == api.TypeSSH {
		return s.signSSH(wanted, fault, until)
	}
	if wanted.Type == api.TypeJWT {
		return signJWT(wanted, fault, until), nil
	}
	block, _ := pem.Decode([]byte(wanted.CSR))
	if block == nil {
		return api.Credential{}, fmt.Errorf("no CSR")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		return api.Credential{}, fmt.Errorf("bad CSR: %v", err)
	}
	public := csr.PublicKey
	if fault == "cert-other-tls-key" {
		public = &s.caKey.PublicKey
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: subjectOf(wanted, fault),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: fault == "cert-is-ca",
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.x509CA, public, s.caKey)
	return api.Credential{
		Name: wanted.Name, Type: wanted.Type, Serial: "abc",
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	}, err
}

// subjectOf is whom a certificate is for.
func subjectOf(wanted api.CredentialRequest, fault string) pkix.Name {
	if fault == "cert-other-subject" {
		return pkix.Name{CommonName: "postgres", OrganizationalUnit: []string{"template1"}}
	}
	switch wanted.Usage {
	case api.UsageDatabase:
		name := pkix.Name{CommonName: wanted.DBUser}
		if wanted.DBName != "" {
			name.OrganizationalUnit = []string{wanted.DBName}
		}
		return name
	case api.UsageApplication:
		return pkix.Name{CommonName: "example", OrganizationalUnit: []string{wanted.App}}
	case api.UsageKubernetes:
		return pkix.Name{CommonName: wanted.KubernetesUser, Organization: []string{"deployers"}}
	}
	return pkix.Name{CommonName: "example"}
}

// signJWT makes a token whose signature nobody here checks.
func signJWT(wanted api.CredentialRequest, fault string, until time.Time) api.Credential {
	audience := wanted.Audience
	if fault == "jwt-other-audience" {
		audience = "https://elsewhere.example.com"
	}
	payload, _ := json.Marshal(map[string]any{"iss": "https://join.example.com", "sub": "bot:example", "aud": audience,
		"iat": time.Now().Unix(), "exp": until.Unix(), "jti": "01JTESTJWT"})
	part := base64.RawURLEncoding.EncodeToString
	token := part([]byte(`{"alg":"ES256","kid":"1"}`)) + "." + part(payload) + "." + part([]byte("another-signature"))
	if fault == "jwt-garbage" {
		token = "garbage"
	}
	return api.Credential{Name: wanted.Name, Type: wanted.Type, Serial: "01JTESTJWT", Token: token}
}

func (s *service) signSSH(wanted api.CredentialRequest, fault string, until time.Time) (api.Credential, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(wanted.PublicKey))
	if err != nil {
		return api.Credential{}, err
	}
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: "gatepass:example:01JTESTJOIN", Serial: 7,
		ValidPrincipals: []string{"deploy"},
		ValidAfter:      uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(until.Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}, CriticalOptions: map[string]string{"source-address": "0.0.0.0/0"}},
	}
	switch fault {
	case "cert-host-type":
		cert.CertType = ssh.HostCert
	case "cert-no-principals":
		cert.ValidPrincipals = nil
	case "cert-other-ssh-key":
		cert.Key = s.hostCA.PublicKey()
	}
	if change, ok := hostileCertificates[fault]; ok {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, s.sshCA); err != nil {
		return api.Credential{}, err
	}
	if fault == "cert-forged" {
		cert.KeyId = "gatepass:root:01JTESTJOIN"
	}
	granted := api.Credential{Name: wanted.Name, Type: wanted.Type, Certificate: line(cert), Principals: cert.ValidPrincipals, Serial: "7"}
	if fault == "cert-plain-key" {
		granted.Certificate = wanted.PublicKey
	}
	return granted, nil
}

func line(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }

// idToken makes a token with an audience. Nobody here checks its signature.
func idToken(audience string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256","kid":"1"}`)) + "." +
		part([]byte(`{"iss":"https://issuer.example","sub":"job","aud":"`+audience+`"}`)) + "." +
		part([]byte("a-signature-that-is-a-secret"))
}
