package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	// healthFor is how long an answer of /healthz is used, so that its price does not grow with who asks.
	healthFor = 5 * time.Second
	// healthWithin is how long the service may take to find out.
	healthWithin = 3 * time.Second
)

// healthCheck remembers how the service is.
type healthCheck struct {
	mu  sync.Mutex
	at  time.Time // when it was looked at; zero if it never was
	err error
}

// health answers whether jobs can join. One caller looks, the others wait for it.
func (h *handler) health(w http.ResponseWriter, r *http.Request) error {
	if err := h.look(r.Context()); err != nil {
		return err
	}
	return writeJSON(w, api.Health{Status: "ok", Version: h.Version})
}

func (h *handler) look(ctx context.Context) error {
	c := &h.checked
	c.mu.Lock()
	defer c.mu.Unlock()
	now := h.Join.Now()
	if !c.at.IsZero() && now.Round(0).Sub(c.at.Round(0)).Abs() < healthFor {
		return c.err
	}
	// A caller who hangs up must not make the service look ill to the next one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthWithin)
	defer cancel()
	c.err, c.at = h.Join.Ready(ctx), now
	if c.err != nil {
		h.Log.ErrorContext(ctx, "no job can join", "cause", c.err.Error())
	}
	return c.err
}
