package service

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// DefaultConnections is how many connections a server has at one time, unless it is told
// otherwise.
const DefaultConnections = 512

// limits are the server's own, for each connection. docs/gatepassctl.md lists them.
type limits struct {
	header time.Duration // for a TLS handshake, and for the header of a request
	read   time.Duration // for a whole request
	write  time.Duration // for the answer, from the end of the request's header on
	idle   time.Duration // between two requests
	// headerBytes bounds a request's line and header. net/http adds 4 KiB.
	headerBytes int
}

var defaultLimits = limits{
	header: 5 * time.Second, read: 15 * time.Second, write: 60 * time.Second, idle: 2 * time.Minute,
	headerBytes: 8 << 10,
}

// boundsOf shares out the connections of a server. One source has half of them, and a
// quarter of them may hold more memory than a small request takes.
func boundsOf(connections int) bounds {
	return bounds{connections: connections, source: max(connections/2, 1), large: max(connections/4, 1), patience: time.Second}
}

// memoryTarget is what Go's runtime keeps the server's memory below, as long as what is in
// use is less: it collects garbage more often the nearer it comes. GOMEMLIMIT replaces it.
const memoryTarget = 80 << 20

// connectionsWithin is how many of the wanted connections the limit of open files leaves
// room for. Half of the files are for the store, the keys and the issuers.
func connectionsWithin(wanted int) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return wanted
	}
	return int(min(uint64(wanted), max(uint64(files.Cur)/2, 1)))
}

// newHTTP is the HTTP server of a handler. It speaks HTTP/1.1 alone: a join is one request,
// and HTTP/2 would let one connection have many (docs/decisions/0027-bounds-of-serve.md).
func newHTTP(handler http.Handler, l limits, c *connections, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           c.handler(handler),
		Protocols:         protocols,
		ReadHeaderTimeout: l.header,
		ReadTimeout:       l.read,
		WriteTimeout:      l.write,
		IdleTimeout:       l.idle,
		MaxHeaderBytes:    l.headerBytes,
		ConnState:         c.changed,
		ConnContext:       remember,
		ErrorLog:          slog.NewLogLogger(strangersFaults{log.Handler()}, slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // the handler has an answer to "OPTIONS *" too
	}
}

// strangersFaults leaves out what anyone can have written to the log by connecting.
type strangersFaults struct{ slog.Handler }

func (h strangersFaults) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: TLS handshake error") {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
