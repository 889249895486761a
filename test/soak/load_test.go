package soak

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	// maxJoins is of the token rule: how many of an ID token's requests may be granted.
	maxJoins = 2
	requests = 3   // different ones with each ID token
	old      = 300 // ID tokens from before that are sent again
)

// grant is a credential that a client got.
type grant struct{ joinID, serial string }

// request is one that was sent, maybe often.
type request struct {
	body []byte

	mu     sync.Mutex
	grants []grant
}

// idToken is one ID token with the requests that are sent with it.
type idToken struct {
	requests []*request
	early    bool // by a clock that was wrong, so that its use may be forgotten earlier than that of others
}

// load is clients that join all the time, and what they know.
type load struct {
	t       *testing.T
	issuer  *issuertest.Issuer
	url     func() string
	client  *http.Client
	pause   time.Duration        // of a client between two ID tokens
	off     func() time.Duration // how far the issuer's clock is off; nil if clocks are right
	stopped context.CancelFunc
	done    sync.WaitGroup

	mu         sync.Mutex
	tokens     []*idToken // each that may be granted
	again      []*idToken // those of the right time, which are sent again later
	joins      int
	unanswered int
	refusals   map[api.Code]int
	faults     map[string]int
}

// startLoad has so many clients join until stop.
// off tells how far the issuer's clock is off, and is nil if clocks are right.
func startLoad(t *testing.T, issuer *issuertest.Issuer, off func() time.Duration, url func() string, wide int, pause time.Duration) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, issuer: issuer, off: off, url: url, pause: pause, stopped: cancel, refusals: map[api.Code]int{}, faults: map[string]int{},
		client: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: wide * requests}}}
	for range wide {
		l.done.Go(func() {
			for ctx.Err() == nil {
				l.oneJob(ctx)
				select {
				case <-ctx.Done():
				case <-time.After(rand.N(2*pause + 1)):
				}
			}
		})
	}
	return l
}

// stop ends the clients, each after the request that it has under way.
func (l *load) stop() {
	l.stopped()
	l.done.Wait()
}

// oneJob sends all requests of an ID token at once: of a new one, of one from before, or of one
// that must be refused.
func (l *load) oneJob(ctx context.Context) {
	var token *idToken
	var err error
	switch n := rand.IntN(20); {
	case n < 4:
		token = l.before()
	case n == 4:
		token, err = l.mint(issuertest.BitbucketJob{BranchName: "feature"})
	case n == 5:
		token, err = l.mint(issuertest.BitbucketJob{}, issuertest.WithClaim("exp", time.Now().Add(-72*time.Hour).Unix()))
	case n == 6:
		token, err = l.forged()
	default:
		good := l.rightTime()
		if token, err = l.mint(issuertest.BitbucketJob{}); err == nil {
			l.mu.Lock()
			l.tokens = append(l.tokens, token)
			if token.early = !good || !l.rightTime(); !token.early {
				l.again = append(l.again, token)
			}
			l.mu.Unlock()
		}
	}
	if err != nil {
		l.t.Error(err)
		return
	}
	var wg sync.WaitGroup
	for _, r := range token.requests {
		wg.Go(func() { l.insist(ctx, r) })
	}
	wg.Wait()
}

// rightTime tells whether the issuer's clock is right. What it signs hours ahead is not kept, to be sent when the
// service's clock is ahead as well: of two clocks that are wrong by as much nothing is promised.
func (l *load) rightTime() bool { return l.off == nil || l.off() == 0 }

func (l *load) mint(job issuertest.BitbucketJob, options ...issuertest.Option) (*idToken, error) {
	minted, err := l.issuer.Bitbucket(job, options...)
	if err != nil {
		return nil, err
	}
	return requestsWith(minted)
}

func requestsWith(minted string) (*idToken, error) {
	token := &idToken{}
	for range requests {
		body, err := worldtest.SSHRequest("bitbucket", minted)
		if err != nil {
			return nil, err
		}
		token.requests = append(token.requests, &request{body: body})
	}
	return token, nil
}

// forged is an ID token whose signature is of another one.
func (l *load) forged() (*idToken, error) {
	one, err := l.issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		return nil, err
	}
	other, err := l.issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		return nil, err
	}
	return requestsWith(one[:strings.LastIndex(one, ".")] + other[strings.LastIndex(other, "."):])
}

// before is one of the latest ID tokens. Sent again, it is granted no more than before.
func (l *load) before() *idToken {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.again) == 0 {
		return &idToken{}
	}
	from := max(0, len(l.again)-old)
	return l.again[from+rand.IntN(len(l.again)-from)]
}

// insist sends a request up to three times, as the client does, until it is answered for good.
func (l *load) insist(ctx context.Context, r *request) {
	for range 3 {
		status := l.hurried(r)
		if status != 0 && status != http.StatusServiceUnavailable || ctx.Err() != nil {
			return
		}
		time.Sleep(rand.N(400 * time.Millisecond))
	}
}

// hurried sends a request once. One client in thirty does not wait for the answer.
func (l *load) hurried(r *request) (status int) {
	ctx, cancel := l.t.Context(), func() {}
	if rand.IntN(30) == 0 {
		ctx, cancel = context.WithTimeout(ctx, rand.N(20*time.Millisecond))
	}
	defer cancel()
	return l.send(ctx, r).Status
}

func (l *load) send(ctx context.Context, r *request) worldtest.Answer {
	a, err := worldtest.SendJoin(ctx, l.client, l.url(), r.body)
	if err != nil {
		l.t.Error(err)
	}
	l.note(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.Serial != "" {
		r.grants = append(r.grants, grant{a.JoinID, a.Serial})
	}
	return a
}

// note counts an answer. A refusal has a code, and the status of that code.
func (l *load) note(a worldtest.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.Status == 0, a.Status == http.StatusBadGateway: // the gateway's, of a function that was killed
		l.unanswered++
	case a.Serial != "":
		l.joins++
	case a.Status != api.Codes()[a.Code]:
		l.t.Errorf("a refusal with status %d has the code %q: %.300s", a.Status, a.Code, a.Content)
	default:
		l.refusals[a.Code]++
	}
}

// settle sends every request of the latest ID tokens again, once nothing fails any more: as many
// as may be are granted.
func (l *load) settle(n int) {
	l.t.Helper()
	l.mu.Lock()
	latest := slices.Clone(l.tokens[max(0, len(l.tokens)-n):])
	l.mu.Unlock()
	for _, token := range latest {
		l.settleOne(token)
	}
}

func (l *load) settleOne(token *idToken) {
	l.t.Helper()
	granted := 0
	for _, r := range token.requests {
		a := l.send(l.t.Context(), r)
		switch {
		case a.Serial != "":
			granted++
		case a.Code == api.CodeIDTokenAlreadyUsed && len(r.grants) == 0:
		case l.off != nil && (a.Code == api.CodeIDTokenExpired || a.Code == api.CodeIDTokenNotYetValid):
			return // minted by a clock that was wrong
		default:
			l.t.Errorf("once nothing fails any more, a request with the grants %v is answered with %d %s", r.grants, a.Status, a.Code)
		}
	}
	if granted != maxJoins {
		l.t.Errorf("%d requests of one ID token are granted", granted)
	}
}

// fewest is how many joins a world must have seen before its test can tell anything.
const fewest = 10

// inTurns injects faults in random order, each kind once in a round, until the time is over.
func inTurns[W any](l *load, faults map[string]func(W), w W) {
	l.t.Helper()
	for end := time.Now().Add(duration(l.t)); time.Now().Before(end) || l.few(); {
		for kind, inject := range faults { // Go's maps have no order
			time.Sleep(rand.N(400 * time.Millisecond))
			inject(w)
			l.faults[kind]++
			if l.t.Failed() {
				return
			}
		}
	}
}

func (l *load) few() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joins < fewest || len(l.refusals) == 0
}
