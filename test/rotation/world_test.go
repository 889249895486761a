package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/kms"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/wait"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// world is a service, with the rules of main_test.go, and its administrator.
type world struct {
	*worldtest.World
	// rotate takes a step with all authorities, too early or not, and returns when
	// the whole service goes by it.
	rotate func(step authority.Step)
}

// dataWorld is gatepassctl serve, with gatepassctl beside it.
func dataWorld(t *testing.T) *world {
	w := &world{World: worldtest.Local(t)}
	w.rotate = func(step authority.Step) {
		w.Ctl("ca", "rotate", "--type", "ssh-user,ssh-host,x509,jwt", "--phase", string(step), "--force")
	}
	w.Apply(rules)
	return w
}

// cacheFor is how long the instances of stackWorld go by what they read, a minute elsewhere.
const cacheFor = 1500 * time.Millisecond

// instances is how many of them there are.
const instances = 3

// stackWorld is a stack with several instances of the function, each with what it
// read of the keys at another time. They are in this process, since an emulator's
// would keep that for a minute.
func stackWorld(t *testing.T) *world {
	cloud := worldtest.SharedCloud(t)
	w := &world{World: worldtest.OnStack(t)}
	w.Apply(rules)
	s := w.Stack

	var handlers []http.Handler
	for range instances {
		handlers = append(handlers, instance(t, cloud, s))
	}
	var n atomic.Uint32
	gateway := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handlers[n.Add(1)%instances].ServeHTTP(rw, r)
	}))
	t.Cleanup(gateway.Close)
	w.URL = gateway.URL
	w.rotate = func(step authority.Step) {
		r := rotator(cloud, s)
		r.Published = func(ctx context.Context) (authority.Published, error) {
			return ctl.AskPublished(ctx, w.URL)
		}
		_, err := r.Rotate(t.Context(), step, true, cert.Purposes()...)
		must(t, err)
	}
	return w
}

func instance(t *testing.T, cloud *worldtest.Cloud, s *worldtest.Stack) http.Handler {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	service, err := join.New(join.Config{
		Store:     s.Store,
		Refresher: noRefresher{}, Authorities: authorities(cloud, s),
		PublicURL: worldtest.PublicURL, TrustDomain: "gatepass.test",
		Now: time.Now, Rand: rand.Reader, Wait: wait.For, Log: log,
	})
	must(t, err)
	return server.New(server.Config{Join: service, PublicURL: worldtest.PublicURL, SourceAddr: server.SourceAddr(nil), Log: log})
}

func authorities(cloud *worldtest.Cloud, s *worldtest.Stack) *kms.Authorities {
	return kms.New(kms.Config{
		Client: kms.NewClient(cloud.Config()), Keys: s.Keys, Certificates: s.Store, Rotated: s.Store, CacheFor: cacheFor,
	})
}

// rotator is what gatepassctl makes for one command.
func rotator(cloud *worldtest.Cloud, s *worldtest.Stack) *authority.Rotator {
	return &authority.Rotator{
		Store: s.Store, Keys: &kms.KeyRing{Client: kms.NewClient(cloud.Config()), Stack: s.Name, Keys: s.Keys},
		Authorities: func() (authority.Authorities, error) { return authorities(cloud, s), nil },
		CacheFor:    cacheFor, Now: time.Now, Wait: wait.For,
	}
}

// noRefresher refreshes nothing: the issuer's keys are imported.
type noRefresher struct{}

func (noRefresher) Refresh(context.Context, string) error {
	return errors.New("no issuer can be reached")
}

// read asks the service for a file.
func (w *world) read(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(w.URL + path)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %s: %s", path, resp.Status, text)
	}
	return string(text)
}

// lines counts what is in an exported list: keys, or certificates.
func lines(list string) int {
	if n := strings.Count(list, "-----BEGIN CERTIFICATE-----"); n > 0 {
		return n
	}
	return strings.Count(list, "\n")
}
