package soak

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/ctl/service"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// clock is the machine's, and so much more. It is safe for concurrent use.
type clock struct{ off atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

// clocks is the server of gatepassctl serve in this process, where its clock can be moved: nothing moves
// that of a static Go program from outside. The issuer has a clock of its own.
type clocks struct {
	t               *testing.T
	data            string
	url             atomic.Pointer[string]
	stop            func()
	issuer, service clock
}

// clockFaults are what clocks do.
var clockFaults = map[string]func(*clocks){
	"service hours ahead":   func(c *clocks) { off(&c.service, hours()) },
	"service hours behind":  func(c *clocks) { off(&c.service, -hours()) },
	"service days ahead":    func(c *clocks) { off(&c.service, 24*hours()) },
	"service minutes ahead": func(c *clocks) { off(&c.service, rand.N(50*time.Minute)) },
	"service steps":         func(c *clocks) { steps(&c.service) },
	"issuer hours ahead":    func(c *clocks) { off(&c.issuer, hours()) },
	"issuer hours behind":   func(c *clocks) { off(&c.issuer, -hours()) },
	"issuer steps":          func(c *clocks) { steps(&c.issuer) },
	"begun a day ahead":     (*clocks).beginAhead,
	"both hours ahead": func(c *clocks) {
		c.issuer.off.Store(int64(time.Hour))
		off(&c.service, time.Hour)
		c.issuer.off.Store(0)
	},
}

func hours() time.Duration { return time.Hour + rand.N(25*time.Hour) }

// off has a clock be off for a while.
func off(c *clock, by time.Duration) {
	c.off.Store(int64(by))
	time.Sleep(300*time.Millisecond + rand.N(400*time.Millisecond))
	c.off.Store(0)
}

// steps has a clock jump to and fro.
func steps(c *clock) {
	for range 20 {
		c.off.Store(int64(rand.N(4*time.Hour) - 2*time.Hour))
		time.Sleep(30 * time.Millisecond)
	}
	c.off.Store(0)
}

// Clocks of the issuer and of the service that are off by hours and jump lose no credential that a client
// got, and double none.
func TestSoakClocks(t *testing.T) {
	t.Parallel()
	c := &clocks{t: t, data: filepath.Join(t.TempDir(), "data")}
	issuer, err := issuertest.New(issuertest.Config{Offline: true, Now: c.issuer.Now})
	worldtest.Must(t, err)
	c.begin()
	t.Cleanup(func() { c.stop() })
	keys, err := issuer.JWKS()
	worldtest.Must(t, err)
	c.ctl("keys", "import", "--yes", "--issuer", issuer.BitbucketURL(), worldtest.Write(t, t.TempDir(), "jwks.json", string(keys)))
	c.ctl("apply", "-f", worldtest.Write(t, t.TempDir(), "rules.yaml", rules))

	l := startLoad(t, issuer, func() time.Duration { return time.Duration(c.issuer.off.Load()) }, func() string { return *c.url.Load() }, 4, 100*time.Millisecond)
	inTurns(l, clockFaults, c)
	l.stop()
	l.settle(30)
	store, err := sqlite.Open(t.Context(), c.data, sqlite.Options{MustExist: true})
	worldtest.Must(t, err)
	defer store.Close()
	l.summary(l.compare(c.ctl("joins", "export"), store))
}

// ctl runs gatepassctl on the data directory. Its clock is the machine's.
func (c *clocks) ctl(args ...string) string {
	c.t.Helper()
	return worldtest.Output(c.t, worldtest.Binary(c.t, "gatepassctl"), append(args, "--data", c.data)...)
}

// begin starts what gatepassctl serve runs.
func (c *clocks) begin() {
	c.t.Helper()
	server, err := service.Open(c.t.Context(), service.Config{
		Data: c.data, Listen: "127.0.0.1:0", Version: "soak", Now: c.service.Now, Log: slog.New(slog.DiscardHandler),
	})
	worldtest.Must(c.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	c.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	}
	c.url.Store(new(server.URL()))
}

// beginAhead starts the server by a clock that is days ahead, when it looks for what need not be kept, and
// again by the right one.
func (c *clocks) beginAhead() {
	c.t.Helper()
	for _, by := range []time.Duration{24 * hours(), 0} {
		c.stop()
		c.service.off.Store(int64(by))
		c.begin()
		time.Sleep(300 * time.Millisecond)
	}
}
