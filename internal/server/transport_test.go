package server_test

import (
	"crypto/x509"
	"encoding/binary"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestPaths(t *testing.T) {
	s := newService(t)
	for _, c := range []struct{ path, contentType, has string }{
		{api.PathHealth, "application/json", `"status":"ok"`},
		{api.PathAuthorities, "application/json", `"ssh_user":["ecdsa-sha2-nistp256 `},
		{api.PathAuthorities + "/ssh-user.pub", "text/plain; charset=utf-8", "gatepass-user-ca\n"},
		{api.PathAuthorities + "/ssh-host.pub", "text/plain; charset=utf-8", "gatepass-host-ca\n"},
		{api.PathAuthorities + "/x509-identity.pem", "text/plain; charset=utf-8", "-----BEGIN CERTIFICATE-----\n"},
		{api.PathAuthorities + "/x509-database.pem", "text/plain; charset=utf-8", "-----BEGIN CERTIFICATE-----\n"},
		{api.PathAuthorities + "/x509-application.pem", "text/plain; charset=utf-8", "-----BEGIN CERTIFICATE-----\n"},
		{api.PathAuthorities + "/x509-kubernetes.pem", "text/plain; charset=utf-8", "-----BEGIN CERTIFICATE-----\n"},
		{api.PathDiscovery, "application/json", `"issuer":"` + publicURL + `"`},
		{api.PathJWKS, "application/json", `"alg":"ES256"`},
		{api.PathRevokedKRL, "application/octet-stream", "SSHKRL\n"},
		{api.PathRevokedCRL, "text/plain; charset=utf-8", "-----BEGIN X509 CRL-----\n"},
		{api.PathRevoked + "/x509-identity.crl", "text/plain; charset=utf-8", "-----BEGIN X509 CRL-----\n"},
		{api.PathRevoked + "/x509-database.crl", "text/plain; charset=utf-8", "-----BEGIN X509 CRL-----\n"},
		{api.PathRevoked + "/x509-application.crl", "text/plain; charset=utf-8", "-----BEGIN X509 CRL-----\n"},
		{api.PathRevoked + "/x509-kubernetes.crl", "text/plain; charset=utf-8", "-----BEGIN X509 CRL-----\n"},
	} {
		t.Run(c.path, func(t *testing.T) {
			a := s.do(http.MethodGet, c.path, nil, "Host", "evil.example.com")
			if a.status != http.StatusOK || a.header.Get("Content-Type") != c.contentType || !strings.Contains(a.body, c.has) {
				t.Errorf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
			}
			if strings.Contains(a.body, "PRIVATE") || strings.Contains(a.body, "evil") || strings.Contains(a.body, `"d":`) {
				t.Errorf("answered %s", a.body)
			}
			head := s.do(http.MethodHead, c.path, nil)
			if head.status != http.StatusOK || head.body != "" || head.header.Get("Content-Length") != a.header.Get("Content-Length") {
				t.Errorf("HEAD answered %d %v", head.status, head.header)
			}
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
				if a := s.do(method, c.path, nil); a.problem == nil || a.problem.Code != api.CodeMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
					t.Errorf("%s answered %d, Allow %q", method, a.status, a.header.Get("Allow"))
				}
			}
		})
	}
	if a := s.do(http.MethodGet, api.PathJoin, nil); a.header.Get("Allow") != http.MethodPost {
		t.Errorf("Allow of a join is %q", a.header.Get("Allow"))
	}
}

// The files are the whole, cut up, and are what gatepassctl ca export gives.
func TestAuthorityFilesAreTheSigningKeys(t *testing.T) {
	s := newService(t)
	resp := s.granted(s.bitbucketRequest())
	line := strings.TrimSpace(s.do(http.MethodGet, api.PathAuthorities+"/ssh-user.pub", nil).body)
	if line != resp.Authorities.SSHUser[0] {
		t.Errorf("ssh-user.pub is %q, and a join says %q", line, resp.Authorities.SSHUser[0])
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	must(t, err)
	signed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(credential(t, resp, "ssh").Certificate))
	must(t, err)
	if string(signed.(*ssh.Certificate).SignatureKey.Marshal()) != string(pub.Marshal()) {
		t.Error("the SSH certificate is signed by another key")
	}
	ca := parseCert(t, s.do(http.MethodGet, api.PathAuthorities+"/x509-identity.pem", nil).body)
	must(t, parseCert(t, credential(t, resp, "tls").Certificate).CheckSignatureFrom(ca))
	if !ca.IsCA || !ca.MaxPathLenZero || ca.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("the authority is %+v", ca)
	}
}

func TestAnAuthorityThatIsLeftOut(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) {
		s.config.Authorities = without{without{without{s.config.Authorities, cert.JWT}, cert.X509Database}, cert.SSHHost}
	})
	for _, path := range []string{api.PathDiscovery, api.PathJWKS, api.PathAuthorities + "/x509-database.pem", api.PathAuthorities + "/ssh-host.pub", api.PathRevoked + "/x509-database.crl"} {
		if a := s.do(http.MethodGet, path, nil); a.problem == nil || a.problem.Code != api.CodeNotFound {
			t.Errorf("%s answered %d %s", path, a.status, a.body)
		}
	}
	resp := s.granted(s.bitbucketRequest())
	if _, ok := resp.Authorities.X509[api.UsageDatabase]; ok || resp.Authorities.SSHHost == nil || len(resp.Authorities.SSHHost) != 0 {
		t.Errorf("authorities %+v", resp.Authorities)
	}
}

func TestMediaTypes(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		contentType string
		taken       bool
	}{
		{"application/json", true},
		{"application/json; charset=utf-8", true},
		{"Application/JSON; charset=UTF-8", true},
		{"application/json; charset=latin1", false},
		{"text/json", false},
		{"application/problem+json", false},
		{"application/json, text/plain", false},
		{"", false},
	} {
		a := s.post([]byte("{}"), "Content-Type", c.contentType)
		if (a.problem.Code == api.CodeMalformedRequest) != c.taken {
			t.Errorf("%q: %s", c.contentType, a.problem.Code)
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	s := newService(t)
	key := newKey(t)
	long := strings.Repeat("x", 257)
	for name, c := range map[string]struct {
		change func(*api.JoinRequest)
		field  string // that the answer names
	}{
		"no token":                     {func(r *api.JoinRequest) { r.Token = "" }, "token"},
		"no id_token":                  {func(r *api.JoinRequest) { r.IDToken = "" }, "id_token"},
		"a token with a line break":    {func(r *api.JoinRequest) { r.Token = "a\nb" }, "token"},
		"a long token":                 {func(r *api.JoinRequest) { r.Token = long }, "token"},
		"a long retry key":             {func(r *api.JoinRequest) { r.RetryKey = long }, "retry_key"},
		"a long version":               {func(r *api.JoinRequest) { r.Client = &api.ClientInfo{Version: long} }, "client"},
		"an architecture in two lines": {func(r *api.JoinRequest) { r.Client = &api.ClientInfo{Arch: "a\nb"} }, "client"},
		"a long operating system":      {func(r *api.JoinRequest) { r.Client = &api.ClientInfo{OS: long} }, "client"},
		"a lifetime of nothing":        {func(r *api.JoinRequest) { r.TTLSeconds = new(int64(0)) }, "ttl_seconds"},
		"a negative lifetime":          {func(r *api.JoinRequest) { r.TTLSeconds = new(int64(-1)) }, "ttl_seconds"},
		"no credentials":               {func(r *api.JoinRequest) { r.Credentials = nil }, "credentials"},
		"17 credentials":               {func(r *api.JoinRequest) { r.Credentials = make([]api.CredentialRequest, 17) }, "credentials has 17 entries"},
		"the same name twice":          {func(r *api.JoinRequest) { r.Credentials[1].Name = "ssh" }, "credentials[1].name"},
		"no name":                      {func(r *api.JoinRequest) { r.Credentials[1].Name = "" }, "credentials[1].name"},
		"no type":                      {func(r *api.JoinRequest) { r.Credentials[0].Type = "" }, "credentials[0].type"},
		"an unknown type":              {func(r *api.JoinRequest) { r.Credentials[0].Type = "pgp" }, "credentials[0].type"},
		"no usage":                     {func(r *api.JoinRequest) { r.Credentials[1].Usage = "" }, "credentials[1].usage"},
		"an unknown usage":             {func(r *api.JoinRequest) { r.Credentials[1].Usage = "host" }, "credentials[1].usage"},
		"no public key":                {func(r *api.JoinRequest) { r.Credentials[0].PublicKey = "" }, "credentials[0].public_key"},
		"no CSR":                       {func(r *api.JoinRequest) { r.Credentials[1].CSR = "" }, "credentials[1].csr"},
		"a CSR for SSH":                {func(r *api.JoinRequest) { r.Credentials[0].CSR = csr(t, key) }, "credentials[0].csr"},
		"a database user of identity":  {func(r *api.JoinRequest) { r.Credentials[1].DBUser = "app" }, "credentials[1].db_user"},
		"database without a user":      {func(r *api.JoinRequest) { r.Credentials[1].Usage = api.UsageDatabase }, "credentials[1].db_user"},
		"application without a name":   {func(r *api.JoinRequest) { r.Credentials[1].Usage = api.UsageApplication }, "credentials[1].app"},
		"kubernetes without a user":    {func(r *api.JoinRequest) { r.Credentials[1].Usage = api.UsageKubernetes }, "credentials[1].kubernetes_user"},
		"a JWT without an audience": {func(r *api.JoinRequest) {
			r.Credentials[0] = api.CredentialRequest{Name: "j", Type: api.TypeJWT}
		}, "credentials[0].audience"},
		"a join method in two lines": {func(r *api.JoinRequest) { r.JoinMethod = "bit\nbucket" }, "join_method"},
		"a user with a NUL": {func(r *api.JoinRequest) {
			r.Credentials[1].Usage, r.Credentials[1].DBUser = api.UsageDatabase, "app\x00"
		}, "credentials[1].db_user"},
		"a long audience": {func(r *api.JoinRequest) {
			r.Credentials[0] = api.CredentialRequest{Name: "j", Type: api.TypeJWT, Audience: long}
		}, "credentials[0].audience"},
		"a name that turns the text around": {func(r *api.JoinRequest) { r.Credentials[0].Name = "ssh\u202e" }, "credentials[0].name"},
		"a role in two lines":               {func(r *api.JoinRequest) { r.Credentials[0].Roles = []string{"a\nb"} }, "credentials[0].roles"},
		"a JWT with a retry key that can be guessed": {func(r *api.JoinRequest) {
			r.RetryKey = "fifteen letters"
			r.Credentials[0] = api.CredentialRequest{Name: "j", Type: api.TypeJWT, Audience: "https://vault.example.com"}
		}, "retry_key"},
		"an empty role":          {func(r *api.JoinRequest) { r.Credentials[0].Roles = []string{""} }, "credentials[0].roles"},
		"65 roles":               {func(r *api.JoinRequest) { r.Credentials[0].Roles = make([]string, 65) }, "roles has 65 entries"},
		"a key that is none":     {func(r *api.JoinRequest) { r.Credentials[0].PublicKey = "ssh-ed25519 AAAA" }, "public_key"},
		"a key with options":     {func(r *api.JoinRequest) { r.Credentials[0].PublicKey = `command="x" ` + sshLine(t, key) }, "public_key"},
		"a CSR that is none":     {func(r *api.JoinRequest) { r.Credentials[1].CSR = "-----BEGIN" }, "csr"},
		"a CSR with another key": {func(r *api.JoinRequest) { r.Credentials[1].CSR = forgedCSR(t) }, "csr"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.bitbucketRequest()
			c.change(r)
			a := s.join(r)
			if a.problem == nil || a.problem.Code != api.CodeMalformedRequest || !strings.Contains(a.problem.Detail, c.field) {
				t.Errorf("answered %s, want malformed_request that names %s", a.body, c.field)
			}
		})
	}
}

// forgedCSR is a request for one key signed by another.
func forgedCSR(t *testing.T) string {
	t.Helper()
	a, b := []byte(csr(t, newKey(t))), []byte(csr(t, newKey(t)))
	return string(pemWith(t, a, b))
}

func TestSourceAddr(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		name, conn string
		forwarded  []string
		want       string
	}{
		{"the connection", "203.0.113.7:4711", nil, "203.0.113.7"},
		{"a stranger's header is not believed", "203.0.113.7:4711", []string{"198.51.100.1"}, "203.0.113.7"},
		{"a trusted proxy's is", "10.0.0.1:4711", []string{"198.51.100.1"}, "198.51.100.1"},
		{"the last that no proxy added", "10.0.0.1:4711", []string{"192.0.2.66, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"over several headers", "10.0.0.1:4711", []string{"192.0.2.66", "198.51.100.1"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1:4711", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"what is no address ends it", "10.0.0.1:4711", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"an address with a port is none", "10.0.0.1:4711", []string{"198.51.100.1:80"}, "10.0.0.1"},
		{"a mapped address is the one it maps", "[::ffff:10.0.0.1]:4711", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"no header", "10.0.0.1:4711", nil, "10.0.0.1"},
		{"IPv6", "[fd00::1]:4711", []string{"2001:db8::7"}, "2001:db8::7"},
		{"no address at all", "@", nil, "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = c.conn
			r.Header["X-Forwarded-For"] = c.forwarded
			if got := server.SourceAddr(trusted)(r).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestRateLimit(t *testing.T) {
	now, log := &clock{now: noon}, &syncBuffer{}
	limit := server.RateLimit(3, now.Now, slog.New(slog.NewJSONHandler(log, nil)))
	passes := func(addr string) int {
		n := 0
		for range 5 {
			ok, after := limit(netip.MustParseAddr(addr))
			if ok {
				n++
			} else if after <= 0 || after.Minutes() > 1 {
				t.Errorf("come back after %s", after)
			}
		}
		return n
	}
	for _, c := range []struct {
		name, addr string
		want       int
	}{
		{"an address", "203.0.113.7", 3},
		{"the same again", "203.0.113.7", 0},
		{"another", "203.0.113.8", 3},
		{"IPv6", "2001:db8::1", 3},
		{"another of the same /64", "2001:db8::2", 0},
		{"another /64", "2001:db8:0:1::1", 3},
	} {
		if got := passes(c.addr); got != c.want {
			t.Errorf("%s: %d of 5 requests pass, want %d", c.name, got, c.want)
		}
	}
	now.advance(20 * time.Second)
	if got := passes("203.0.113.7"); got != 1 {
		t.Errorf("after a third of the minute %d requests pass, want 1", got)
	}
	now.advance(time.Hour)
	if got := passes("203.0.113.7"); got != 3 {
		t.Errorf("after an hour %d requests pass, want 3", got)
	}
	if n := strings.Count(log.String(), "--trusted-proxy"); n != 2 {
		t.Errorf("it is logged %d times, want once a minute: %s", n, log)
	}
}

// A stranger with a network of IPv6 addresses filled the memory of a limit that knew
// each of them.
func TestTheLimitsMemoryDoesNotGrow(t *testing.T) {
	limit := server.RateLimit(100, time.Now, slog.New(slog.DiscardHandler))
	addr := netip.MustParseAddr("2001:db8::1").As16()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range uint32(1 << 20) {
		binary.BigEndian.PutUint32(addr[4:], i)
		limit(netip.AddrFrom16(addr))
	}
	if grown := int64(heap() - before); grown > 1<<20 {
		t.Errorf("a million networks take %d bytes", grown)
	}
	runtime.KeepAlive(limit)
}

// Health checks are not limited: a load balancer asks more often than a job.
func TestHealthIsNotLimited(t *testing.T) {
	s := newService(t, func(s *service, c *server.Config) {
		c.Limit = server.RateLimit(1, s.clock.Now, c.Log)
	})
	for range 5 {
		if a := s.do(http.MethodGet, api.PathHealth, nil); a.status != http.StatusOK {
			t.Fatalf("answered %d", a.status)
		}
	}
	s.do(http.MethodGet, api.PathAuthorities, nil)
	if a := s.do(http.MethodGet, api.PathAuthorities, nil); a.problem == nil || a.problem.Code != api.CodeRateLimited {
		t.Errorf("answered %d", a.status)
	}
}
