package attack

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// size is how many of something a flood has.
func size(short, long int) int {
	if os.Getenv("GATEPASS_ATTACK") == "long" {
		return long
	}
	return short
}

// flood opens n connections from some sources, has each do something, and holds them all
// until end is called. It returns when all have done it, or were cut off meanwhile.
func (w *target) flood(t *testing.T, n int, sources []string, do func(net.Conn) error) (end func()) {
	t.Helper()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		held []net.Conn
		next = make(chan int)
	)
	for range 32 {
		wg.Go(func() {
			for i := range next {
				conn, err := dial(t.Context(), sources[i%len(sources)], w.address())
				if err != nil {
					continue
				}
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				_ = do(conn) // it may be cut off, and often is
				mu.Lock()
				held = append(held, conn)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return func() {
		for _, conn := range held {
			conn.Close()
		}
	}
}

// sourcesOf are n addresses of loopback, none of them an honest job's.
func sourcesOf(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("127.0.%d.%d", i/250, 2+i%250))
	}
	return all
}

// said writes text and leaves it at that.
func said(text string) func(net.Conn) error {
	return func(conn net.Conn) error {
		_, err := io.WriteString(conn, text)
		return err
	}
}

// fields are the shortest fields of different names, of so many bytes in all.
func fields(bytes int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b strings.Builder
	for i := 0; b.Len()+5 <= bytes; i++ {
		fmt.Fprintf(&b, "%c%c%c:\n", letters[i/26%26], letters[i%26], '0'+rune(i/676))
	}
	return b.String()
}

const joinHead = "POST /v1/join HTTP/1.1\r\nHost: join.example.com\r\nContent-Type: application/json\r\n"

// floods are what strangers do on one connection each, and then wait.
var floods = map[string]func(net.Conn) error{
	"nothing at all":             said(""),
	"a header that has no end":   said(joinHead + "X-Long: " + strings.Repeat("x", 15<<10)),
	"many values and no end":     said(joinHead + strings.Repeat("X: y\r\n", 1500)),
	"many fields and no end":     said(joinHead + fields(11<<10)),
	"the most that stays small":  said(joinHead + fields(2900-len(joinHead))),
	"a stalled body":             said(joinHead + "Content-Length: 65000\r\n\r\n" + `{"token":"` + strings.Repeat("x", 64000)),
	"a body that does not begin": said(joinHead + "Content-Length: 65000\r\n\r\n"),
	"a body nobody reads":        said("POST /v1/nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 260000\r\n\r\n" + strings.Repeat("x", 1000)),
	"an idle connection": func(conn net.Conn) error {
		if _, err := io.WriteString(conn, "GET /v1/authorities HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		_, err := io.ReadAtLeast(conn, make([]byte, 4096), 100)
		return err
	},
	"answers that are not read": func(conn net.Conn) error {
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond)) // its own requests come to a stop as well
		_, err := io.WriteString(conn, strings.Repeat("GET /v1/authorities HTTP/1.1\r\nHost: a\r\n\r\n", 3000))
		return err
	},
}

// Whatever strangers begin and do not end, honest jobs join and the memory is bounded:
// also from a stranger's own address.
func TestFloods(t *testing.T) {
	for name, do := range floods {
		t.Run(name, func(t *testing.T) {
			w := newTarget(t, worldtest.ServeOptions{})
			w.survives(t, size(700, 8000), do)
		})
	}
}

func TestFloodsOfTLS(t *testing.T) {
	hello := func(conn net.Conn) error { return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() }
	for name, do := range map[string]func(net.Conn) error{
		"half a hello":  said("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"a handshake":   hello,
		"an unread end": func(conn net.Conn) error { _ = hello(conn); return said("junk")(conn) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTLSTarget(t)
			w.survives(t, size(600, 4000), do)
			if n := strings.Count(w.Serve.Log(), "handshake"); n > 0 {
				t.Errorf("strangers wrote %d lines to the log", n)
			}
		})
	}
}

// survives floods the server with n connections, more than it may have: of one stranger, of many, and of a stranger at the jobs' own address.
func (w *target) survives(t *testing.T, n int, do func(net.Conn) error) {
	t.Helper()
	for _, f := range []struct {
		sources []string
		tries   int
	}{{sourcesOf(1), 1}, {sourcesOf(200), 1}, {[]string{honest}, 10}} {
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 3 {
				w.join(t, honest, f.tries)
				time.Sleep(50 * time.Millisecond)
			}
		})
		end := w.flood(t, n, f.sources, do)
		wg.Wait()
		w.join(t, honest, 1)
		w.checkMemory(t)
		end()
	}
}

// A server that may open few files keeps some for its work.
func TestIdleConnectionsWithFewFiles(t *testing.T) {
	w := newTarget(t, worldtest.ServeOptions{Files: 256})
	w.survives(t, size(300, 1500), floods["an idle connection"])
	if log := w.Serve.Log(); strings.Contains(log, "too many open files") || !strings.Contains(log, "ulimit -n") {
		t.Error("the server ran out of files, or did not say that it may open few")
	}
}

// An issuer that is slow, and a thousand ID tokens that name keys it does not have.
func TestGuessesAtASlowIssuer(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{})
	must(t, err)
	defer issuer.Close()
	ca := worldtest.Write(t, t.TempDir(), "ca.pem", string(issuer.CA()))
	w := newTarget(t, worldtest.ServeOptions{Env: []string{"GATEPASS_PRIVATE_ISSUERS=" + issuer.Host(), "GATEPASS_ISSUER_CA=" + ca}})
	slow := strings.NewReplacer("metadata: {name: bitbucket}", "metadata: {name: slow}",
		"https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", issuer.BitbucketURL()).Replace(rules)
	w.Apply(slow[strings.LastIndex(slow, "---"):])
	issuer.Misbehave(issuertest.Behaviour{Delay: 8 * time.Second})

	guess, err := issuer.Bitbucket(issuertest.BitbucketJob{}, issuertest.WithHeader("kid", "nobody"))
	must(t, err)
	body := requestWith(t, "slow", guess)
	end := w.flood(t, size(1000, 4000), sourcesOf(20), func(conn net.Conn) error {
		_, err := fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", joinHead, len(body), body)
		return err
	})
	defer end()
	for range 3 {
		w.join(t, honest, 1)
	}
	w.checkMemory(t)
	if n := issuer.Requests(); n.Discovery > 2 {
		t.Errorf("the issuer was asked %+v", n)
	}
}

// HTTP/2 is not spoken, so that one connection is one request at a time: no streams, no
// resets, no compressed headers.
func TestHTTP2IsNotSpoken(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	t.Run("in the clear", func(t *testing.T) {
		w := newTarget(t, worldtest.ServeOptions{})
		got := exchange(t, w, preface+strings.Repeat("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 1000))
		if !strings.HasPrefix(got, "HTTP/1.1 404 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("answered %q", got)
		}
		w.join(t, honest, 1)
	})
	t.Run("over TLS", func(t *testing.T) {
		w := newTLSTarget(t)
		only := w.tls.Clone()
		only.NextProtos = []string{"h2"}
		if conn, err := tls.Dial("tcp", w.address(), only); err == nil {
			conn.Close()
			t.Error("a client that speaks HTTP/2 alone has a connection")
		}
		w.tls.NextProtos = []string{"h2", "http/1.1"}
		conn, err := tls.Dial("tcp", w.address(), w.tls)
		must(t, err)
		defer conn.Close()
		if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
			t.Errorf("the server chose %q", p)
		}
		w.join(t, honest, 1)
	})
}

// exchange sends text and returns all that comes back until the server closes the connection.
func exchange(t *testing.T, w *target, text string) string {
	t.Helper()
	conn, err := dial(t.Context(), honest, w.address())
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, _ = io.WriteString(conn, text) // it may have been answered before it was whole
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		t.Logf("reading the answer: %v", err)
	}
	return string(answer)
}
