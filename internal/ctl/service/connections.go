package service

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/server"
)

// bounds are how much strangers can hold of a server at one time.
type bounds struct {
	connections int // in all
	source      int // connections of one source that the server waits for
	large       int // connections that have sent more than small of a request that is not answered
	// patience is how long a client may take to read an answer before its connection may give way.
	patience time.Duration
}

// small is what a connection may send of a request, or of a TLS handshake and a request,
// before it is one of the bounded number that hold more memory. It is more than a client needs to be let in
// over TLS, and with the smallest fields it becomes 40 times as much in net/http.
const small = 3 << 10

// connections is a listener that bounds what is open. While there is room everybody gets
// in. After that a new connection takes the place of one that the server waits for: an idle
// one, a request that is not whole, an answer that is not taken. A connection whose request
// the server works on is never closed for another.
//
// Which one gives way: of the source that has the most connections an idle one, or else
// the one that the server has waited for longest. So a flood takes its own places, and a
// job that sends its request at once has its answer before it is the oldest.
//
// It works for HTTP/1 only, where a connection has one request at a time.
type connections struct {
	net.Listener
	bounds
	proxies []netip.Prefix // many callers share their connections: no bound by source
	log     *slog.Logger

	mu       sync.Mutex
	closed   bool
	open     map[*connection]bool
	bySource map[netip.Addr]int // no entry is 0
	larges   int                // connections that are large
	turns    uint64             // counts changes of stages
	gaveWay  int                // connections closed for another since loggedAt
	loggedAt time.Time          // when that was last logged
}

// whileFull is how long a new connection waits before it looks for a place again.
const whileFull = 5 * time.Millisecond

// stage says what a connection waits for.
type stage int

const (
	idle  stage = iota // for the next request
	waits              // the server waits for the client
	works              // the client waits for the server
)

type connection struct {
	net.Conn
	of     *connections
	source netip.Addr // the zero Addr if it is a proxy's
	// The following are guarded by of.mu.
	stage stage
	since uint64 // the turn in which it came to its stage
	sent  int    // bytes of the request under way
	large bool   // it has sent more than small, and the server waits for it
	// writing is since when a part of the answer is being sent; zero if none is.
	writing time.Time

	abort bool // what is not sent yet is lost; set once, before it is cut
}

func newConnections(l net.Listener, b bounds, proxies []netip.Prefix, log *slog.Logger) *connections {
	return &connections{Listener: l, bounds: b, proxies: proxies, log: log, open: map[*connection]bool{}, bySource: map[netip.Addr]int{}}
}

// Accept implements net.Listener. If every connection is being worked on it waits.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, of: l, source: l.sourceOf(conn), stage: waits}
		leave := l.admit(c)
		cut(leave...)
		if len(leave) > 0 {
			runtime.Gosched() // those that are open go on before the next one comes in
		}
		if !slices.Contains(leave, c) {
			return c, nil
		}
	}
}

// admit takes a connection in and returns those that leave for it, or itself.
func (l *connections) admit(c *connection) (leave []*connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.source.IsValid() && l.bySource[c.source] >= l.bounds.source {
		if oldest := l.first(func(o *connection) bool { return o.source == c.source }); oldest != nil {
			leave = append(leave, l.drop(oldest))
		}
	}
	for len(l.open) >= l.bounds.connections && !l.closed {
		oldest := l.first(func(*connection) bool { return true })
		if oldest == nil {
			l.mu.Unlock()
			time.Sleep(whileFull)
			l.mu.Lock()
			continue
		}
		if oldest.source != c.source && l.bySource[oldest.source] <= l.bySource[c.source] {
			return append(leave, l.drop(c)) // it would take the place of a source that has no more than its own
		}
		leave = append(leave, l.drop(oldest))
	}
	l.open[c] = true
	if c.source.IsValid() {
		l.bySource[c.source]++
	}
	l.turn(c, waits)
	return leave
}

// sourceOf is what the bound by source knows a connection by.
func (l *connections) sourceOf(conn net.Conn) netip.Addr {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	addr := peer.Addr().Unmap()
	if err != nil || slices.ContainsFunc(l.proxies, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return netip.Addr{}
	}
	return server.Network(addr)
}

// Close implements net.Listener.
func (l *connections) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return l.Listener.Close()
}

// first is the connection that gives way before all others of which may; nil if there is none.
func (l *connections) first(may func(*connection) bool) (found *connection) {
	for c := range l.open {
		if l.mayGiveWay(c) && may(c) && (found == nil || l.before(c, found) < 0) {
			found = c
		}
	}
	return found
}

func (l *connections) mayGiveWay(c *connection) bool {
	return c.stage != works || !c.writing.IsZero() && time.Since(c.writing) >= l.bounds.patience
}

// before is negative if x gives way before y. A proxy's connections, whose source has no
// count, are the last.
func (l *connections) before(x, y *connection) int {
	return cmp.Or(
		-cmp.Compare(l.bySource[x.source], l.bySource[y.source]),
		cmp.Compare(x.stage, y.stage),
		cmp.Compare(x.since, y.since),
	)
}

// turn brings a connection to a stage.
func (l *connections) turn(c *connection, to stage) {
	l.turns++
	c.stage, c.since = to, l.turns
	switch to {
	case idle:
		c.sent = 0
		l.shrink(c)
	case works:
		l.shrink(c) // it is bounded by what the work is bounded by
	}
}

// grow counts what a connection has sent. If it becomes one too many that are large, others
// give way, which are returned.
func (l *connections) grow(c *connection, sent int) (leave []*connection) {
	c.sent += sent
	if c.large || c.sent <= small || c.stage == works && c.writing.IsZero() || !l.open[c] {
		return nil
	}
	for l.larges >= l.bounds.large {
		oldest := l.first(func(o *connection) bool { return o.large })
		if oldest == nil {
			break
		}
		leave = append(leave, l.drop(oldest))
	}
	c.large = true
	l.larges++
	return leave
}

func (l *connections) shrink(c *connection) {
	if c.large {
		c.large = false
		l.larges--
	}
}

// drop forgets a connection that is to be closed for another.
func (l *connections) drop(c *connection) *connection {
	c.abort = c.stage != idle
	l.forget(c)
	l.gaveWay++
	if now := time.Now(); now.Sub(l.loggedAt) >= time.Minute {
		l.log.Warn("connections were closed to make room for others", "closed", l.gaveWay, "open", len(l.open), "most", l.bounds.connections)
		l.gaveWay, l.loggedAt = 0, now
	}
	return c
}

func (l *connections) forget(c *connection) {
	if !l.open[c] {
		return
	}
	delete(l.open, c)
	l.shrink(c)
	if l.bySource[c.source]--; l.bySource[c.source] <= 0 {
		delete(l.bySource, c.source)
	}
}

// cut closes connections. Of an answer that the client does not take the rest is not kept for it.
func cut(all ...*connection) {
	for _, c := range all {
		if tcp, ok := c.Conn.(*net.TCPConn); ok && c.abort {
			_ = tcp.SetLinger(0)
		}
		_ = c.Conn.Close()
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.forget(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// Read implements net.Conn.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.of.mu.Lock()
	leave := c.of.grow(c, n)
	c.of.mu.Unlock()
	cut(leave...)
	return n, err
}

// Write implements net.Conn. What is written is an answer. While the client takes it the
// connection counts as worked on, and if that takes long as one that the server waits for.
func (c *connection) Write(p []byte) (int, error) {
	c.of.mu.Lock()
	c.writing = time.Now()
	leave := c.of.grow(c, 0)
	c.of.mu.Unlock()
	cut(leave...)
	n, err := c.Conn.Write(p)
	c.of.mu.Lock()
	c.writing = time.Time{}
	c.of.mu.Unlock()
	return n, err
}

// under is the connection below conn, which may be TLS.
func under(conn net.Conn) *connection {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	c, _ := conn.(*connection)
	return c
}

// changed is an http.Server's ConnState.
func (l *connections) changed(conn net.Conn, state http.ConnState) {
	c := under(conn)
	if c == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateActive:
		l.turn(c, waits)
	case http.StateIdle:
		l.turn(c, idle)
	}
}
