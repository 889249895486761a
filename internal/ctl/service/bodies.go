package service

import (
	"context"
	"io"
	"net"
	"net/http"
)

// connectionKey finds the connection in a request's context.
type connectionKey struct{}

// remember is an http.Server's ConnContext.
func remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, under(conn))
}

// handler passes requests on. Once a body has been read to its end the server works for its
// connection, until the answer is written. What has no body may be asked for again.
func (l *connections) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connectionKey{}).(*connection); ok && c != nil {
			r.Body = &body{ReadCloser: r.Body, c: c}
		}
		next.ServeHTTP(w, r)
	})
}

// body is a request's body.
type body struct {
	io.ReadCloser
	c *connection
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.c.of.works(b.c)
	}
	return n, err
}

// works notes that a request is whole.
func (l *connections) works(c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(c, works)
}
