package jwks

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestFetch(t *testing.T) {
	s := newServer(t, issuerHandler(func() string { return keySet(ecJWK(`,"kid":"e"`), rsaJWK(`,"kid":"old","use":"enc"`)) }))
	jwks, dropped, err := Fetch(t.Context(), s.client(t), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if want := keySet(ecJWK(`,"kid":"e","alg":"ES256","use":"sig"`)); string(jwks) != want {
		t.Errorf("got  %s\nwant %s", jwks, want)
	}
	if len(dropped) != 1 || dropped[0].KID != "old" || dropped[0].Index != 1 {
		t.Errorf("dropped %v", dropped)
	}
	if n := s.opened.Load(); n != 1 {
		t.Errorf("%d connections for two calls", n)
	}
	// A frozen Lambda must not wake up with connections that died meanwhile.
	for end := time.Now().Add(5 * time.Second); s.closed.Load() < 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is left open")
		}
	}
}

func TestFetchWithAPathAndKeysElsewhere(t *testing.T) {
	keys := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "v=1" {
			io.WriteString(w, keySet(ecJWK(`,"kid":"e"`)))
		}
	}))
	var issuer string
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/org/1/.well-known/openid-configuration" || r.Method != "GET" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"%s/keys?v=1"}`, issuer, keys.URL)
	}))
	issuer = s.URL + "/org/1"
	roots := s.roots()
	roots.AddCert(keys.Certificate())

	// Naming the issuer's host does not let its document lead to another one.
	one, err := NewHTTPClient(ClientConfig{PrivateIssuers: []string{s.hostPort()}, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Fetch(t.Context(), one, issuer)
	if err == nil || !strings.Contains(err.Error(), "put "+keys.hostPort()+" into GATEPASS_PRIVATE_ISSUERS") {
		t.Errorf("got %v", err)
	}
	if keys.opened.Load() != 0 {
		t.Error("the other host was dialed")
	}

	both, err := NewHTTPClient(ClientConfig{PrivateIssuers: []string{s.hostPort(), keys.hostPort()}, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Fetch(t.Context(), both, issuer); err != nil {
		t.Error(err)
	}
}

// hang keeps the answer open until the client gives up.
func hang(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler) // else the server would end the body well, which a client that is just leaving may still see
}

func TestFetchHostileAnswers(t *testing.T) {
	good := func() string { return keySet(rsaJWK(`,"kid":"r"`)) }
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	// Each of these is bad in place of the discovery document and of the keys.
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"redirect to itself":       {redirect("/keys"), "redirects are not followed"},
		"redirect to metadata":     {redirect("http://169.254.169.254/latest/meta-data/"), "answered 302, a redirect to \"http://169.254.169.254"},
		"permanent redirect":       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusPermanentRedirect) }, "answered 308"},
		"304":                      {text(304, ""), "answered 304"},
		"404":                      {text(404, good()), "check the issuer's URL"},
		"401":                      {text(401, good()), "answered 401 Unauthorized instead of 200"},
		"204":                      {text(204, ""), "answered 204"},
		"201":                      {text(201, good()), "answered 201"},
		"429":                      {text(429, good()), "asked again"},
		"500":                      {text(500, good()), "answered 500 Internal Server Error"},
		"unknown status":           {text(599, good()), "answered 599"},
		"empty":                    {text(200, ""), "cannot be read as JSON"},
		"HTML":                     {text(200, "<html>sign in</html>"), "cannot be read as JSON"},
		"endless":                  {endless, "larger than 1048576 bytes"},
		"too large, with a length": {text(200, strings.Repeat(" ", 1<<20)+good()), "larger than 1048576 bytes"},
		"a small body that unpacks to a large one": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipBomb())
		}, "compressed"},
		"the same without saying so": {func(w http.ResponseWriter, _ *http.Request) { w.Write(gzipBomb()) }, "cannot be read as JSON"},
		"brotli": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, good())
		}, "compressed"},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { hang(r) }, "no whole answer in time"},
		"a body that never ends": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"issuer":`)
			w.(http.Flusher).Flush()
			hang(r)
		}, "no whole answer in time"},
		"a body byte by byte": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(5 * time.Millisecond)
			}
			hang(r)
		}, "no whole answer in time"},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"hangs up in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, good()[:100])
		}, "EOF"},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Fill", strings.Repeat("x", 1<<20))
			io.WriteString(w, good())
		}, "exceeded"},
		"not HTTP, meant for a terminal": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(conn, "\x1b]0;owned\x07 \u202e\r\n\r\n")
				conn.Close()
			}
		}, "malformed HTTP"},
	} {
		for _, place := range []string{discoveryPath, "/keys"} {
			t.Run(name+" at "+place, func(t *testing.T) {
				t.Parallel()
				honest := issuerHandler(good)
				s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == place {
						tc.answer(w, r)
					} else {
						honest.ServeHTTP(w, r)
					}
				}))
				c := s.client(t)
				if strings.Contains(tc.want, "in time") {
					c.Timeout = 150 * time.Millisecond
				}
				refused(t, c, s.URL, tc.want)
			})
		}
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for chunk := bytes.Repeat([]byte(" "), 64<<10); r.Context().Err() == nil; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func gzipBomb() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(bytes.Repeat([]byte(" "), 8<<20))
	z.Close()
	return b.Bytes()
}

// refused has a fetch fail in the wanted way and looks at what would be stored of it.
func refused(t *testing.T, c *http.Client, issuer, want string) {
	t.Helper()
	jwks, _, err := Fetch(t.Context(), c, issuer)
	if err == nil || jwks != nil {
		t.Fatalf("got %s, %v", jwks, err)
	}
	var fetchErr *FetchError
	if !errors.As(err, &fetchErr) {
		t.Fatalf("%T is no *FetchError", err)
	}
	if !strings.Contains(fetchErr.Reason, want) {
		t.Errorf("got %q, want it to say %q", fetchErr.Reason, want)
	}
	if r := fetchErr.Reason; r != oneLine(r, maxFailure) || utf8.RuneCountInString(r) > 300 || !utf8.ValidString(r) {
		t.Errorf("%q is not fit to be stored", r)
	}
}

func TestFetchHostileDiscovery(t *testing.T) {
	for name, tc := range map[string]struct{ doc, want string }{
		"issuer of another":          {`{"issuer":"https://evil.example.com","jwks_uri":"KEYS"}`, `is that of issuer "https://evil.example.com"`},
		"issuer with a slash":        {`{"issuer":"ISSUER/","jwks_uri":"KEYS"}`, "is that of issuer"},
		"issuer in capitals":         {`{"issuer":"HTTPS://` + `x","jwks_uri":"KEYS"}`, "is that of issuer"},
		"no issuer":                  {`{"jwks_uri":"KEYS"}`, `is that of issuer ""`},
		"issuer of another type":     {`{"issuer":["ISSUER"],"jwks_uri":"KEYS"}`, "cannot be read as JSON"},
		"issuer twice":               {`{"issuer":"https://evil.example.com","issuer":"ISSUER","jwks_uri":"KEYS"}`, "cannot be read as JSON"},
		"jwks_uri twice":             {`{"issuer":"ISSUER","jwks_uri":"KEYS","jwks_uri":"https://evil.example.com"}`, "cannot be read as JSON"},
		"another member twice":       {`{"issuer":"ISSUER","jwks_uri":"KEYS","a":{"b":1,"b":2}}`, "cannot be read as JSON"},
		"members in another case":    {`{"Issuer":"ISSUER","JWKS_URI":"KEYS"}`, "is that of issuer"},
		"trailing data":              {`{"issuer":"ISSUER","jwks_uri":"KEYS"}{}`, "cannot be read as JSON"},
		"an array":                   {`[]`, "cannot be read as JSON"},
		"no jwks_uri":                {`{"issuer":"ISSUER"}`, `jwks_uri "": must begin with https://`},
		"jwks_uri over http":         {`{"issuer":"ISSUER","jwks_uri":"http://HOST/keys"}`, "must begin with https://"},
		"jwks_uri a file":            {`{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`, "must begin with https://"},
		"jwks_uri relative":          {`{"issuer":"ISSUER","jwks_uri":"/keys"}`, "must begin with https://"},
		"jwks_uri without a scheme":  {`{"issuer":"ISSUER","jwks_uri":"//HOST/keys"}`, "must begin with https://"},
		"jwks_uri with a user":       {`{"issuer":"ISSUER","jwks_uri":"https://a:b@HOST/keys"}`, "user"},
		"jwks_uri with a fragment":   {`{"issuer":"ISSUER","jwks_uri":"https://HOST/keys#x"}`, "fragment"},
		"jwks_uri without a host":    {`{"issuer":"ISSUER","jwks_uri":"https:///keys"}`, "host is missing"},
		"jwks_uri with a line break": {`{"issuer":"ISSUER","jwks_uri":"https://HOST/keys\r\nX: y"}`, "not a URL"},
		"jwks_uri null":              {`{"issuer":"ISSUER","jwks_uri":null}`, "must begin with https://"},
		"jwks_uri at metadata":       {`{"issuer":"ISSUER","jwks_uri":"https://169.254.169.254/keys"}`, "169.254.169.254 is not a public address"},
		"jwks_uri at another port":   {`{"issuer":"ISSUER","jwks_uri":"https://127.0.0.1:1/keys"}`, "127.0.0.1 is not a public address"},
		"jwks_uri by another name":   {`{"issuer":"ISSUER","jwks_uri":"https://localhost:PORT/keys"}`, "is not a public address"},
		"jwks_uri with its own doc":  {`{"issuer":"ISSUER","jwks_uri":"https://HOST/.well-known/openid-configuration"}`, `no member "keys"`},
		"text for a terminal":        {`{"issuer":"\u001b[2J\u0007\u202e\n\u0000 ok","jwks_uri":"KEYS"}`, "is that of issuer"},
		"a long text":                {`{"issuer":"` + strings.Repeat("ä", 100_000) + `","jwks_uri":"KEYS"}`, "is that of issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			var s *testServer
			s = newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != discoveryPath {
					io.WriteString(w, keySet(rsaJWK(`,"kid":"r"`)))
					return
				}
				io.WriteString(w, strings.NewReplacer("ISSUER", s.URL, "KEYS", s.URL+"/keys", "HOST", s.hostPort(), "PORT", s.port()).Replace(tc.doc))
			}))
			refused(t, s.client(t), s.URL, tc.want)
		})
	}
}

func TestFetchRefusesBadIssuersUndialed(t *testing.T) {
	s := newServer(t, issuerHandler(func() string { return keySet(rsaJWK(`,"kid":"r"`)) }))
	for issuer, want := range map[string]string{
		"http://" + s.hostPort():         "https://",
		s.URL + "/":                      "slash",
		"https://user@" + s.hostPort():   "user",
		s.URL + "?x=" + discoveryPath:    "query",
		s.URL + "#":                      "fragment",
		"":                               "https://",
		"https://\x1b[2J" + s.hostPort(): "not a URL",
	} {
		refused(t, s.client(t), issuer, want)
	}
	if s.opened.Load() != 0 {
		t.Error("the server was dialed")
	}
}

// Whatever client is handed in, Fetch does not follow redirects.
func TestFetchWithAnotherClient(t *testing.T) {
	honest := issuerHandler(func() string { return keySet(rsaJWK(`,"kid":"r"`)) })
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			http.Redirect(w, r, "/keys2", http.StatusFound)
			return
		}
		if r.URL.Path == "/keys2" {
			r.URL.Path = "/keys"
		}
		honest.ServeHTTP(w, r)
	}))
	c := s.Client()
	refused(t, c, s.URL, "redirects are not followed")
	if c.CheckRedirect != nil || c.Timeout != 0 {
		t.Error("the client was changed")
	}
}

func TestDefaultTimeout(t *testing.T) {
	c, err := NewHTTPClient(ClientConfig{})
	if err != nil || c.Timeout != 10*time.Second {
		t.Errorf("timeout %s, %v", c.Timeout, err)
	}
}

func TestBitbucket404SaysWhatToDo(t *testing.T) {
	for host, want := range map[string]string{
		"https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc": "oidc: true",
		"https://oidc.circleci.com/org/x":                                              "check the issuer's URL",
	} {
		u, err := url.Parse(host)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkAnswer(&http.Response{StatusCode: 404}, u); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func TestFetchUnknownHost(t *testing.T) {
	d := dialing{resolver: fakeDNS(t, func(string, int) []string { return nil })}
	refused(t, d.client(), "https://gone.test", "no such host; check the issuer's URL in the token rule")
}

func TestFetchGivenUp(t *testing.T) {
	s := newServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hang(r) }))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := Fetch(ctx, s.client(t), s.URL); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
