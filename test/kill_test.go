package test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// killsEnv is how often TestKillServe kills the server; 5 times if it is not set.
const killsEnv = "GATEPASS_KILLS"

const (
	killWide     = 64 // joins under way at once when the server is killed
	killTokens   = 150
	killRequests = 3 // different requests with each ID token
	killMaxJoins = 2 // max_joins of the rule: how many of these may be granted
)

// killed is an ID token with the requests that are sent with it, all at about the same time.
type killed struct {
	requests [killRequests][]byte
	sent     [killRequests]bool
	answered [killRequests]bool
	granted  [killRequests]*granted // nil without an answer that grants
}

// granted is a credential that a client got.
type granted struct {
	joinID, serial string
}

// crash is a run of TestKillServe: what its clients know.
type crash struct {
	t      *testing.T
	s      *worldtest.Serve
	client *http.Client
	all    []granted
	lost   atomic.Int64 // credentials whose use or record is not there after the kill
}

// SIGKILL under 64 joins at once loses no use and no record of any credential that a client
// got, and no ID token buys more than max_joins of them. All of it is seen from outside.
func TestKillServe(t *testing.T) {
	kills := 5
	if text := os.Getenv(killsEnv); text != "" {
		n, err := strconv.Atoi(text)
		must(t, err)
		kills = n
	}
	w := newWorld(t)
	c := &crash{t: t, s: w.Serve, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: killWide}}}
	inDoubt := 0
	for range kills {
		tokens := mintKilled(t, w.Issuer)
		c.loadUntilKilled(tokens, 20+rand.IntN(killTokens*killMaxJoins/2))
		c.s = worldtest.StartServe(t, w.Serve.Data)
		inDoubt += c.settle(tokens)
	}
	doubled := c.compareWithRecords()
	credentials := map[string]bool{}
	for _, g := range c.all {
		credentials[g.serial] = true
	}
	t.Logf("%d kills under %d joins at once: %d joins answered with %d credentials, %d requests in doubt; %d credentials lost, %d ID tokens used too often",
		kills, killWide, len(c.all), len(credentials), inDoubt, c.lost.Load(), doubled)
	if inDoubt == 0 {
		t.Error("every request was answered: the server was not killed in the middle of anything")
	}
}

func mintKilled(t *testing.T, issuer *issuertest.Issuer) []*killed {
	t.Helper()
	tokens := make([]*killed, killTokens)
	for i := range tokens {
		idToken, err := issuer.Bitbucket(issuertest.BitbucketJob{})
		must(t, err)
		tokens[i] = &killed{}
		for j := range killRequests {
			tokens[i].requests[j], err = worldtest.SSHRequest("bitbucket", idToken)
			must(t, err)
		}
	}
	return tokens
}

// loadUntilKilled sends the requests, those of one ID token next to each other, and kills the
// server when so many were granted.
func (c *crash) loadUntilKilled(tokens []*killed, after int) {
	c.t.Helper()
	var (
		wg     sync.WaitGroup
		next   atomic.Int64
		grants atomic.Int64
	)
	for range killWide {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(tokens)*killRequests {
					return
				}
				token, j := tokens[i/killRequests], i%killRequests
				token.sent[j] = true
				status, got := c.post(token.requests[j])
				if status == 0 {
					return
				}
				token.answered[j] = true
				if token.granted[j] = got; got != nil && grants.Add(1) == int64(after) {
					c.s.Stop(syscall.SIGKILL) // at once, while the others of the same commit are being answered
				}
			}
		})
	}
	wg.Wait()
	if grants.Load() < int64(after) {
		c.t.Errorf("only %d joins were granted", grants.Load())
	}
}

// settle sends all requests of each ID token that was used again: as many are granted as may
// be, among them those that were granted before the kill, with the same serial. It returns how
// many of them were sent and not answered before.
func (c *crash) settle(tokens []*killed) (inDoubt int) {
	c.t.Helper()
	var wg errgroup.Group
	wg.SetLimit(killWide)
	var mu sync.Mutex
	for _, token := range tokens {
		if token.sent == [killRequests]bool{} {
			continue
		}
		wg.Go(func() error {
			n := 0
			var all []granted
			for j, request := range token.requests {
				before := token.granted[j]
				status, got := c.post(request)
				switch {
				case got == nil && status != api.CodeIDTokenAlreadyUsed.Status():
					c.t.Errorf("after the kill a request was answered with %d", status)
				case before != nil && got == nil:
					c.lost.Add(1)
					c.t.Errorf("the use of join %s is lost", before.joinID)
				case before != nil && got.serial != before.serial:
					c.lost.Add(1)
					c.t.Errorf("the request of join %s bought two serials, %s and %s", before.joinID, before.serial, got.serial)
				}
				for _, g := range []*granted{before, got} {
					if g != nil {
						all = append(all, *g)
					}
				}
				if got != nil {
					n++
				}
			}
			if n != killMaxJoins {
				c.t.Errorf("%d requests of one ID token are granted, want %d", n, killMaxJoins)
			}
			mu.Lock()
			defer mu.Unlock()
			c.all = append(c.all, all...)
			for j := range token.requests {
				if token.sent[j] && !token.answered[j] {
					inDoubt++
				}
			}
			return nil
		})
	}
	must(c.t, wg.Wait())
	return inDoubt
}

// compareWithRecords looks for the record of each credential, and for ID tokens of which more
// than max_joins credentials were recorded.
func (c *crash) compareWithRecords() (doubled int) {
	c.t.Helper()
	recorded := map[granted]bool{}
	serials := map[string]map[string]bool{} // by ID token
	for line := range strings.Lines(c.s.Ctl("joins", "export")) {
		var r store.Record
		must(c.t, json.Unmarshal([]byte(line), &r))
		if r.Code != store.CodeOK {
			continue
		}
		if serials[r.IDToken] == nil {
			serials[r.IDToken] = map[string]bool{}
		}
		for _, credential := range r.Credentials {
			recorded[granted{r.JoinID, credential.Serial}] = true
			serials[r.IDToken][credential.Serial] = true
		}
	}
	for _, g := range c.all {
		if !recorded[g] {
			c.lost.Add(1)
			c.t.Errorf("join %s has no record of the credential %s", g.joinID, g.serial)
		}
	}
	for token, all := range serials {
		if len(all) > killMaxJoins {
			doubled++
			c.t.Errorf("the ID token %s bought %d credentials", token, len(all))
		}
	}
	return doubled
}

// post sends a request. A status of 0 means that no whole answer came; granted is nil unless
// the answer grants.
func (c *crash) post(body []byte) (status int, g *granted) {
	a, err := worldtest.SendJoin(c.t.Context(), c.client, c.s.URL, body)
	if err != nil {
		c.t.Error(err)
	}
	if a.Serial != "" {
		g = &granted{a.JoinID, a.Serial}
	}
	return a.Status, g
}
