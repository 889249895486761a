package attack

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// misbehaviour is what one issuer does. Its ID token is signed by a key that it publishes, so that the join is
// granted unless something holds against it.
type misbehaviour struct {
	discovery, keys http.HandlerFunc                 // in place of the honest answer
	document        func(issuer, keys string) string // in place of the discovery document
	set             func(honest string) string       // in place of the key set
	sign            func(*testing.T, string) string  // signs an ID token anew
}

func answering(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, text) }
}

func redirecting(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
}

// raw writes to the connection, and then hangs up.
func raw(do func(w io.Writer)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
			do(conn)
			_ = conn.Close()
		}
	}
}

// repeated writes a text until the other side has had enough.
func repeated(head, text string) http.HandlerFunc {
	return raw(func(w io.Writer) {
		_, err := io.WriteString(w, head)
		for err == nil {
			_, err = io.WriteString(w, text)
		}
	})
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

func stalled(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "{")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

func document(issuer, keys string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, keys)
}

// keysAt has the discovery document lead elsewhere.
func keysAt(uri string) func(string, string) string {
	return func(issuer, keys string) string { return document(issuer, strings.ReplaceAll(uri, "KEYS", keys)) }
}

// changed replaces text in the key set. It must be there.
func changed(from, to string) func(string) string {
	return func(honest string) string {
		if !strings.Contains(honest, from) {
			panic(from + " is not in " + honest)
		}
		return strings.ReplaceAll(honest, from, to)
	}
}

// ok has 200 and this header in front of a body.
func ok(header string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + header
}

// misbehaviours are those of an issuer that a rule names, of every part that is asked. What an address is
// and where a name leads is in internal/jwks.
var misbehaviours = map[string]misbehaviour{
	// The discovery.
	"discovery redirects to another path":   {discovery: redirecting(302, "/honest/.well-known/openid-configuration")},
	"discovery redirects for ever":          {discovery: redirecting(308, "/honest/.well-known/openid-configuration")},
	"discovery redirects to metadata":       {discovery: redirecting(307, "http://169.254.169.254/latest/meta-data/")},
	"discovery is created":                  {discovery: answering(201, "{}")},
	"discovery is empty":                    {discovery: answering(200, "")},
	"discovery is not there":                {discovery: answering(404, "")},
	"discovery fails":                       {discovery: answering(500, "")},
	"discovery is HTML":                     {discovery: answering(200, "<html>sign in</html>")},
	"discovery is endless":                  {discovery: repeated(ok("\r\n"), strings.Repeat(" ", 64<<10))},
	"discovery has a header without end":    {discovery: repeated(ok("X: "), strings.Repeat("x", 64<<10))},
	"discovery has headers without end":     {discovery: repeated(ok(""), strings.Repeat("X: y\r\n", 1000))},
	"discovery has early hints without end": {discovery: repeated("", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 100))},
	"discovery has chunks of one byte":      {discovery: repeated(ok("Transfer-Encoding: chunked\r\n\r\n"), strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\n \r\n", 100))},
	"discovery has two lengths":             {discovery: raw(func(w io.Writer) { _, _ = io.WriteString(w, ok("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")) })},
	"discovery is not HTTP":                 {discovery: raw(func(w io.Writer) { _, _ = io.WriteString(w, "\x1b]0;owned\x07\r\n\r\n") })},
	"discovery hangs up":                    {discovery: raw(func(io.Writer) {})},
	"discovery stalls":                      {discovery: stalled},
	"discovery unpacks to more": {discovery: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, zipped(strings.Repeat(" ", 32<<20)))
	}},
	"discovery is of another issuer": {document: func(_, keys string) string { return document("https://evil.example.com", keys) }},
	"discovery has a slash more":     {document: func(issuer, keys string) string { return document(issuer+"/", keys) }},
	"discovery names two issuers": {document: func(issuer, keys string) string {
		return `{"issuer":"https://evil.example.com",` + document(issuer, keys)[1:]
	}},
	"discovery names two key sets": {document: func(issuer, keys string) string {
		return `{"jwks_uri":"https://evil.example.com",` + document(issuer, keys)[1:]
	}},
	"discovery has members in capitals": {document: func(issuer, keys string) string {
		return strings.NewReplacer("issuer", "Issuer", "jwks_uri", "JWKS_URI").Replace(document(issuer, keys))
	}},
	"discovery goes on": {document: func(issuer, keys string) string { return document(issuer, keys) + "{}" }},
	"discovery is deep": {document: func(issuer, keys string) string {
		return `{"x":` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + "," + document(issuer, keys)[1:]
	}},
	"discovery names no key set":              {document: keysAt("")},
	"discovery names keys by http":            {document: func(issuer, keys string) string { return document(issuer, strings.Replace(keys, "https", "http", 1)) }},
	"discovery names keys in a file":          {document: keysAt("file:///etc/passwd")},
	"discovery names keys at metadata":        {document: keysAt("https://169.254.169.254/latest/meta-data/")},
	"discovery names keys at a private host":  {document: keysAt("https://10.0.0.1/keys")},
	"discovery names keys at another port":    {document: keysAt("https://127.0.0.1:1/keys")},
	"discovery names keys at a user":          {document: func(issuer, keys string) string { return document(issuer, strings.Replace(keys, "://", "://a:b@", 1)) }},
	"discovery names itself as keys":          {document: func(issuer, _ string) string { return document(issuer, issuer+"/.well-known/openid-configuration") }},
	"discovery names keys relative to itself": {document: keysAt("keys")},
	// The keys.
	"keys redirect":         {keys: redirecting(302, "/honest/keys")},
	"keys are not modified": {keys: answering(304, "")},
	"keys fail":             {keys: answering(503, "")},
	"keys are endless":      {keys: repeated(ok("\r\n"), `{"keys":[`+strings.Repeat(" ", 64<<10))},
	"keys are cut off":      {keys: raw(func(w io.Writer) { _, _ = io.WriteString(w, ok("Content-Length: 1000\r\n\r\n{\"keys\":[")) })},
	"keys stall":            {keys: stalled},
	"keys are compressed": {keys: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		_, _ = io.WriteString(w, "{}")
	}},
	"keys are none":            {set: func(string) string { return `{"keys":[]}` }},
	"keys are null":            {set: func(string) string { return `{"keys":null}` }},
	"keys are there twice":     {set: func(honest string) string { return `{"keys":[],` + honest[1:] }},
	"keys go on":               {set: func(honest string) string { return honest + honest }},
	"keys are for encryption":  {set: func(honest string) string { return changed(`"use":"sig"`, `"use":"enc"`)(honest) }},
	"keys are of another kid":  {set: changed(`"kid":"key-1"`, `"kid":"key-2"`)},
	"keys have no kid":         {set: changed(`"kid":"key-1",`, ``)},
	"keys are of HMAC":         {set: changed(`"alg":"RS256"`, `"alg":"HS256"`)},
	"keys are of no algorithm": {set: changed(`"alg":"RS256"`, `"alg":"none"`)},
	"one kid is of two keys": {set: func(honest string) string {
		return `{"keys":[` + jwk(otherKey()) + `,` + strings.TrimPrefix(honest, `{"keys":[`)
	}},
	"keys are secrets":             {set: func(string) string { return `{"keys":[{"kty":"oct","kid":"key-1","alg":"HS256","k":"c2VjcmV0"}]}` }, sign: resigned("HS256", []byte("secret"))},
	"keys are weak":                {set: func(string) string { return `{"keys":[` + jwk(weakKey()) + `]}` }, sign: func(t *testing.T, token string) string { return resigned("RS256", weakKey())(t, token) }},
	"keys are private":             {set: changed(`"kid":"key-1"`, `"kid":"key-1","d":"AQAB"`)},
	"keys are off their curve":     {set: func(string) string { return `{"keys":[` + offCurve() + `]}` }, sign: resigned("ES256", curveKey())},
	"keys have an exponent of one": {set: changed(`"e":"AQAB"`, `"e":"AQ"`)},
	"keys take all processors": {set: func(string) string {
		return `{"keys":[{"kty":"RSA","kid":"key-1","alg":"RS256","use":"sig","e":"AQAB","n":"` + strings.Repeat("_", 100_000) + `"}]}`
	}},
	"keys are many": {set: func(string) string {
		return `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"EC","kid":"x"},`, 30_000), ",") + `]}`
	}},
}

var (
	weakKey  = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(1024) })
	otherKey = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(2048) })
	curveKey = sync.OnceValue(func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k })
)

func rsaKey(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is the public half as the issuer's first key.
func jwk(k *rsa.PrivateKey) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":"key-1","alg":"RS256","use":"sig","e":%q,"n":%q}`, b64(big.NewInt(int64(k.E)).Bytes()), b64(k.N.Bytes()))
}

// offCurve is the public half of curveKey, with another y.
func offCurve() string {
	point, err := curveKey().PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	point[64] ^= 1
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"key-1","alg":"ES256","use":"sig","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))
}

func resigned(alg string, key any) func(*testing.T, string) string {
	return func(t *testing.T, token string) string {
		again, err := issuertest.Resign(token, "key-1", alg, key)
		must(t, err)
		return again
	}
}

// hostileIssuers serves an issuer for each misbehaviour, at a path of its own, and an honest one.
func hostileIssuers(t *testing.T, honest string) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	answer := func(r *http.Request) (http.HandlerFunc, string) {
		name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		i := slices.Index(names(), name)
		m := misbehaviour{}
		if i >= 0 {
			m = misbehaviours[titles()[i]]
		}
		issuer := s.URL + "/" + name
		switch {
		case path == "keys" && m.keys != nil:
			return m.keys, ""
		case path == "keys" && m.set != nil:
			return nil, m.set(honest)
		case path == "keys":
			return nil, honest
		case m.discovery != nil:
			return m.discovery, ""
		case m.document != nil:
			return nil, m.document(issuer, issuer+"/keys")
		}
		return nil, document(issuer, issuer+"/keys")
	}
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, text := answer(r)
		if handler == nil {
			handler = answering(200, text)
		}
		handler(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// titles are the misbehaviours in order, and names what they are in URLs and rules.
func titles() []string {
	var all []string
	for title := range misbehaviours {
		all = append(all, title)
	}
	slices.Sort(all)
	return all
}

func names() []string {
	all := titles()
	for i := range all {
		all[i] = strings.ReplaceAll(strings.ToLower(all[i]), " ", "-")
	}
	return all
}

// Whatever issuers that rules name answer, nobody joins by them, each refusal has a code, and honest jobs join
// at another issuer meanwhile.
func TestHostileIssuers(t *testing.T) {
	keyed, err := issuertest.New(issuertest.Config{Offline: true})
	must(t, err)
	published, err := keyed.JWKS()
	must(t, err)
	var compact bytes.Buffer
	must(t, json.Compact(&compact, published))
	hostile := hostileIssuers(t, compact.String())
	ca := worldtest.Write(t, t.TempDir(), "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hostile.Certificate().Raw})))
	w := newTarget(t, worldtest.ServeOptions{Env: []string{"GATEPASS_PRIVATE_ISSUERS=" + strings.TrimPrefix(hostile.URL, "https://"), "GATEPASS_ISSUER_CA=" + ca}})
	rule := rules[strings.LastIndex(rules, "---"):]
	var all strings.Builder
	for _, name := range append(names(), "honest") {
		all.WriteString(strings.NewReplacer("metadata: {name: bitbucket}", "metadata: {name: "+name+"}",
			"https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", hostile.URL+"/"+name).Replace(rule))
	}
	w.Apply(all.String())

	join := func(t *testing.T, name string, sign func(*testing.T, string) string) worldtest.Answer {
		idToken, err := keyed.Bitbucket(issuertest.BitbucketJob{}, issuertest.WithClaim("iss", hostile.URL+"/"+name))
		must(t, err)
		if sign != nil {
			idToken = sign(t, idToken)
		}
		a, err := worldtest.SendJoin(t.Context(), w.client(honest), w.URL, requestWith(t, name, idToken))
		must(t, err)
		return a
	}
	if a := join(t, "honest", nil); a.Serial == "" {
		t.Fatalf("what an honest issuer signed is answered with %d %s", a.Status, a.Content)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5 {
			w.join(t, honest, 1)
			time.Sleep(time.Second)
		}
	}()
	t.Run("each", func(t *testing.T) {
		for i, title := range titles() {
			t.Run(title, func(t *testing.T) {
				t.Parallel()
				a := join(t, names()[i], misbehaviours[title].sign)
				if a.Serial != "" {
					t.Fatal("granted")
				}
				switch a.Code {
				case api.CodeIssuerKeysUnavailable, api.CodeIDTokenUnknownKey, api.CodeIDTokenUnsupportedAlgorithm, api.CodeIDTokenBadSignature:
				default:
					t.Errorf("answered with %d %s %s", a.Status, a.Code, a.Content)
				}
			})
		}
	})
	<-done
	w.join(t, honest, 1)
	w.checkMemory(t)
}
