package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hang is when a test gives up on what should have come. It passes only in a test that fails.
const hang = 20 * time.Second

// bounded is an HTTP server with bounds, on loopback.
type bounded struct {
	t       *testing.T
	of      *connections
	address string
	began   chan struct{} // a request's body is in
	release chan struct{} // lets one go on
}

// long are limits that no test reaches.
var long = limits{header: time.Hour, read: time.Hour, write: time.Hour, idle: time.Hour, headerBytes: 8 << 10}

// serveBounded serves: GET /large answers without end, POST /work reads its body and
// waits for release, everything else is answered at once.
func serveBounded(t *testing.T, b bounds, l limits, proxies ...netip.Prefix) *bounded {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &bounded{t: t, address: listener.Addr().String(), began: make(chan struct{}, 100), release: make(chan struct{}, 100)}
	if b.patience == 0 {
		b.patience = time.Hour
	}
	s.of = newConnections(listener, b, proxies, slog.New(slog.DiscardHandler))
	server := newHTTP(http.HandlerFunc(s.serve), l, s.of, slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(s.of) }()
	t.Cleanup(func() { close(s.release); server.Close() })
	return s
}

func (s *bounded) serve(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	switch r.URL.Path {
	case "/work":
		s.began <- struct{}{}
		<-s.release
	case "/large":
		s.began <- struct{}{}
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}
}

// caller is a connection of a stranger or a job.
type caller struct {
	net.Conn
	s *bounded
	r *bufio.Reader
}

func (s *bounded) dial(source string) *caller {
	s.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	conn, err := d.DialContext(s.t.Context(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hang))
	return &caller{conn, s, bufio.NewReader(conn)}
}

func (c *caller) say(text string) *caller {
	c.s.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.s.t.Fatal(err)
	}
	return c
}

// answered reads an answer; the connection is idle then.
func (c *caller) answered() *caller {
	c.s.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.s.t.Fatalf("no answer: %v", err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return c
}

// is checks whether the server keeps the connection, which it tells by answering what is
// missing of a request, or has closed it.
func (c *caller) is(open bool, rest string) {
	c.s.t.Helper()
	if open {
		c.say(rest).answered()
		return
	}
	_, err := c.r.ReadByte()
	if err == nil || timedOut(err) {
		c.s.t.Errorf("the connection is not closed: %v", err)
	}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// has waits until the server sees so many connections, and so many of them large.
func (s *bounded) has(open, large int) {
	s.t.Helper()
	var o, l int
	for began := time.Now(); time.Since(began) < hang; time.Sleep(time.Millisecond) {
		s.of.mu.Lock()
		came := s.of.turns > 0
		o, l = len(s.of.open), s.of.larges
		s.of.mu.Unlock()
		if came && o == open && l == large {
			return
		}
	}
	s.t.Fatalf("the server has %d connections, %d large; want %d and %d", o, l, open, large)
}

// settled waits until the server has seen what came before on a connection.
func (s *bounded) settled(c *caller, want stage) *caller {
	s.t.Helper()
	for began := time.Now(); time.Since(began) < hang; time.Sleep(time.Millisecond) {
		s.of.mu.Lock()
		for o := range s.of.open {
			if o.RemoteAddr().String() == c.LocalAddr().String() && o.stage == want {
				s.of.mu.Unlock()
				return c
			}
		}
		s.of.mu.Unlock()
	}
	s.t.Fatalf("the connection has not come to stage %d", want)
	return nil
}

// stuck waits until the server has tried to send something for so long.
func (s *bounded) stuck(d time.Duration) {
	s.t.Helper()
	for began := time.Now(); time.Since(began) < hang; time.Sleep(time.Millisecond) {
		s.of.mu.Lock()
		for o := range s.of.open {
			if !o.writing.IsZero() && time.Since(o.writing) > d {
				s.of.mu.Unlock()
				return
			}
		}
		s.of.mu.Unlock()
	}
	s.t.Fatal("no answer waits to be taken")
}

const (
	getRoot  = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	halfHead = "GET / HTTP/1.1\r\nHost: a\r\n"
	endHead  = "\r\n"
	work     = "POST /work HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
)

// halfBody is a request whose body lacks its last byte.
func halfBody(size int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size-1))
}

func TestAnIdleConnectionGivesWayFirst(t *testing.T) {
	s := serveBounded(t, bounds{connections: 3, source: 100, large: 100}, long)
	stalled := s.settled(s.dial("127.0.0.2").say(halfHead), waits)
	first := s.settled(s.dial("127.0.0.2").say(getRoot).answered(), idle)
	second := s.settled(s.dial("127.0.0.2").say(getRoot).answered(), idle)
	s.dial("127.0.0.3").say(getRoot).answered()
	first.is(false, "")
	second.is(true, getRoot)
	stalled.is(true, endHead)
	s.has(3, 0)
}

func TestTheOneThatIsWaitedForLongestGivesWay(t *testing.T) {
	s := serveBounded(t, bounds{connections: 2, source: 100, large: 100}, long)
	first := s.settled(s.dial("127.0.0.2").say(halfHead), waits)
	second := s.settled(s.dial("127.0.0.2").say(halfBody(100)), waits)
	third := s.settled(s.dial("127.0.0.2"), waits)
	first.is(false, "")
	second.is(true, "x")
	third.is(true, getRoot)
}

// A source that has many connections loses one of its own, whoever comes and however
// long others have waited.
func TestTheSourceWithTheMostConnectionsGivesWay(t *testing.T) {
	s := serveBounded(t, bounds{connections: 3, source: 100, large: 100}, long)
	job := s.settled(s.dial("127.0.0.2").say(halfHead), waits)
	first := s.settled(s.dial("127.0.0.3").say(halfHead), waits)
	second := s.settled(s.dial("127.0.0.3").say(halfHead), waits)
	s.dial("127.0.0.4").say(getRoot).answered()
	first.is(false, "")
	second.is(true, endHead)
	job.is(true, endHead)
}

func TestConnectionsOfOneSourceAreBounded(t *testing.T) {
	for _, c := range []struct {
		name    string
		proxies []netip.Prefix
		open    bool // the first one, once the source has one too many
	}{
		{"of a stranger", nil, false},
		{"of a trusted proxy they are not", []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serveBounded(t, bounds{connections: 100, source: 2, large: 100}, long, c.proxies...)
			other := s.settled(s.dial("127.0.0.3").say(halfHead), waits)
			first := s.settled(s.dial("127.0.0.2").say(halfHead), waits)
			second := s.settled(s.dial("127.0.0.2").say(halfHead), waits)
			third := s.settled(s.dial("127.0.0.2").say(halfHead), waits)
			first.is(c.open, endHead)
			for _, c := range []*caller{other, second, third} {
				c.is(true, endHead)
			}
		})
	}
}

// A proxy's connections are many callers': they are the last to give way.
func TestAProxysConnectionsGiveWayLast(t *testing.T) {
	s := serveBounded(t, bounds{connections: 2, source: 100, large: 100}, long, netip.MustParsePrefix("127.0.0.2/32"))
	proxy := s.settled(s.dial("127.0.0.2").say(getRoot).answered(), idle)
	stranger := s.settled(s.dial("127.0.0.3").say(halfHead), waits)
	s.dial("127.0.0.4").say(getRoot).answered()
	stranger.is(false, "")
	proxy.is(true, getRoot)
}

// What the server works on is not lost to a flood. If it works on everything, a new
// connection waits.
func TestAConnectionThatIsWorkedOnIsKept(t *testing.T) {
	s := serveBounded(t, bounds{connections: 2, source: 1, large: 1}, long)
	first := s.dial("127.0.0.2").say(work)
	<-s.began
	second := s.dial("127.0.0.2").say(work)
	<-s.began
	waiting := s.dial("127.0.0.3").say(getRoot)
	s.has(2, 0)
	s.release <- struct{}{}
	s.release <- struct{}{}
	waiting.answered()
	for _, c := range []*caller{first, second} {
		if resp, err := http.ReadResponse(c.r, nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("not answered: %v", err)
		}
	}
}

// A server that works on every connection stops all the same.
func TestAFullServerStops(t *testing.T) {
	s := serveBounded(t, bounds{connections: 1, source: 1, large: 1}, long)
	s.dial("127.0.0.2").say(work)
	<-s.began
	s.dial("127.0.0.3")
	done := make(chan error, 1)
	go func() { done <- s.of.Close() }()
	select {
	case <-done:
	case <-time.After(hang):
		t.Fatal("closing hangs")
	}
}

func TestLargeRequestsAreBounded(t *testing.T) {
	s := serveBounded(t, bounds{connections: 100, source: 100, large: 2}, long)
	little := s.settled(s.dial("127.0.0.2").say(halfBody(small/2)), waits)
	body := s.dial("127.0.0.2").say(halfBody(small + 1000))
	s.has(2, 1)
	header := s.dial("127.0.0.2").say(halfHead + "X: " + strings.Repeat("x", small))
	s.has(3, 2)
	last := s.dial("127.0.0.2").say(halfBody(small + 1000))
	s.has(3, 2)
	body.is(false, "")
	header.is(true, "\r\n\r\n")
	last.is(true, "x")
	little.is(true, "x")
	s.has(3, 0)
	// What was large once is not for ever.
	last.say(halfBody(100)).is(true, "x")
	s.has(3, 0)
}

// An answer that nobody takes is bounded like a body that does not come.
func TestAnswersThatAreNotReadAreBounded(t *testing.T) {
	const patience = 20 * time.Millisecond
	s := serveBounded(t, bounds{connections: 100, source: 100, large: 1, patience: patience}, long)
	large := "GET /large HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", small) + "\r\n\r\n"
	first := s.dial("127.0.0.2").say(large)
	<-s.began
	s.stuck(2 * patience)
	s.dial("127.0.0.3").say(large)
	<-s.began
	s.has(1, 1)
	_, err := io.Copy(io.Discard, first.r)
	if err == nil || timedOut(err) {
		t.Errorf("the first answer ended with %v, not cut off", err)
	}
}

// Each limit in time ends what it is for, with the others out of reach.
func TestTimeLimits(t *testing.T) {
	const soon = 50 * time.Millisecond
	for _, c := range []struct {
		name  string
		limit func(*limits)
		say   string
	}{
		{"a header that does not end", func(l *limits) { l.header = soon }, halfHead},
		{"no header at all", func(l *limits) { l.header = soon }, ""},
		{"a body that does not end", func(l *limits) { l.read = soon }, halfBody(100)},
		{"an answer that is not taken", func(l *limits) { l.write = soon }, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"an idle connection", func(l *limits) { l.idle = soon }, getRoot},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := long
			c.limit(&l)
			s := serveBounded(t, bounds{connections: 10, source: 10, large: 10}, l)
			s.dial("127.0.0.2").say(c.say)
			s.has(0, 0)
		})
	}
}

func TestALongHeaderIsRefused(t *testing.T) {
	s := serveBounded(t, bounds{connections: 10, source: 10, large: 10}, long)
	c := s.dial("127.0.0.2").say("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", long.headerBytes+(8<<10)) + "\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v, %v", resp, err)
	}
}

// The limits of a server that runs are these, and docs/gatepassctl.md says so.
func TestLimitsOfServe(t *testing.T) {
	c := config(t)
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := s.http
	got := fmt.Sprint(h.ReadHeaderTimeout, h.ReadTimeout, h.WriteTimeout, h.IdleTimeout, h.MaxHeaderBytes, s.connections.bounds)
	if want := fmt.Sprint(5*time.Second, 15*time.Second, time.Minute, 2*time.Minute, 8192, bounds{512, 256, 128, time.Second}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if boundsOf(1) != (bounds{1, 1, 1, time.Second}) {
		t.Errorf("of one connection: %+v", boundsOf(1))
	}
}

func TestConnectionsFitTheLimitOfFiles(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	half := int(min(files.Cur/2, 1<<40))
	for wanted, want := range map[int]int{1: 1, half: half, half + 1: half, 1 << 50: half} {
		if got := connectionsWithin(wanted); got != want {
			t.Errorf("%d wanted: got %d, want %d", wanted, got, want)
		}
	}
}

// Anyone can fail at a handshake, as often as they like.
func TestStrangersFaultsAreNotLogged(t *testing.T) {
	b := &buffer{}
	log := slog.NewLogLogger(strangersFaults{slog.NewTextHandler(b, nil)}, slog.LevelWarn)
	log.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
	log.Print("http: Accept error: too many open files; retrying in 5ms")
	if got := b.String(); strings.Contains(got, "handshake") || !strings.Contains(got, "too many open files") {
		t.Errorf("logged %s", got)
	}
}

// A flood that is busy with requests of its own takes no place from a job.
func TestASourceWithMoreConnectionsTakesNoneOfAnothers(t *testing.T) {
	s := serveBounded(t, bounds{connections: 3, source: 100, large: 1}, long)
	for range 2 {
		s.dial("127.0.0.2").say(work)
		<-s.began
	}
	job := s.settled(s.dial("127.0.0.3").say(halfHead), waits)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	if another, err := d.DialContext(t.Context(), "tcp", s.address); err == nil {
		(&caller{another, s, bufio.NewReader(another)}).is(false, "")
	}
	s.has(3, 0)
	job.is(true, endHead)
}
