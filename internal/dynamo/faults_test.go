package dynamo_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const issuer = "https://oidc.circleci.com/org/00000000-0000-0000-0000-000000000001"

var base = time.Now().UTC().Truncate(time.Second)

func bot(name string, roles ...string) *rules.Bot {
	return &rules.Bot{Metadata: rules.Metadata{Name: name}, Roles: roles}
}

func role(name string) *rules.Role {
	return &rules.Role{Metadata: rules.Metadata{Name: name}, Version: "v7", Allow: rules.Conditions{Logins: []string{"deploy"}}}
}

func use(digest string, maxJoins int) store.Use {
	return store.Use{IDToken: "token", Digest: digest, MaxJoins: maxJoins, MaxAnswers: 100,
		NotAfter: base.Add(15 * time.Minute), KeepUntil: base.Add(2 * time.Hour),
		Record: stored, RecordUntil: base.Add(time.Hour)}
}

func record(minute int) store.Record {
	at := base.Add(time.Duration(minute) * time.Minute)
	id := ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy())
	return store.Record{JoinID: id.String(), Time: at, Code: store.CodeOK, Bot: "example", Token: "example-bot", Claims: map[string]any{}}
}

func create(resources ...rules.Resource) []store.Change {
	var changes []store.Change
	for _, r := range resources {
		changes = append(changes, store.Change{Kind: r.Kind(), Name: r.Name(), Resource: r, At: base})
	}
	return changes
}

// announced is an authority in phase 1, the same each time.
func announced() authority.State {
	public := func(seed byte) *ecdsa.PublicKey {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{seed}, 32))
		if err != nil {
			panic(err)
		}
		return &key.PublicKey
	}
	a, err := authority.First(cert.SSHUser, "old", public(1))
	if err == nil {
		a, err = a.Begin("new", public(2), base)
	}
	if err != nil {
		panic(err)
	}
	return a
}

func keySet() store.KeySet {
	return store.KeySet{Issuer: issuer, JWKS: []byte(`{"keys":[]}`), FetchedAt: base, TriedAt: base}
}

// behindProxy returns a store that calls DynamoDB through a proxy, and one of the
// same tables that does not.
func behindProxy(t *testing.T, options ...func(*dynamodb.Options)) (faulty, direct *dynamo.Store, proxy *awstest.Proxy) {
	t.Helper()
	names := tables(t)
	proxy, err := awstest.NewProxy(local.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	through := func(o *dynamodb.Options) { o.BaseEndpoint = new(proxy.URL()) }
	options = append([]func(*dynamodb.Options){dynamo.Quick, through}, options...)
	return open(t, names, options...), open(t, names), proxy
}

// call is a method of a store, and what it is called with. It succeeds on an
// empty store, and returns the error of a result that is not as it must be.
type call struct {
	name      string
	operation string
	try       func(ctx context.Context, s *dynamo.Store) error
}

var (
	stored     = record(0)
	revocation = store.Revocation{ID: stored.JoinID, Certificates: []store.RevokedCertificate{
		{Authority: cert.SSHUser, Serial: "1", ExpiresAt: base.Add(time.Hour)},
	}}
)

// calls are all methods. What one finds is what those before it have stored.
var calls = []call{
	{"Write", "TransactWriteItems", func(ctx context.Context, s *dynamo.Store) error {
		return s.Write(ctx, create(bot("example", "deployer"), role("deployer")))
	}},
	{"Get", "GetItem", func(ctx context.Context, s *dynamo.Store) error {
		_, err := s.Get(ctx, rules.KindBot, "example")
		return err
	}},
	{"Token", "GetItem", func(ctx context.Context, s *dynamo.Store) error {
		_, err := store.Token(ctx, s, "none")
		return absent(err)
	}},
	{"Bot", "GetItem", func(ctx context.Context, s *dynamo.Store) error { _, err := store.Bot(ctx, s, "example"); return err }},
	{"Roles", "BatchGetItem", func(ctx context.Context, s *dynamo.Store) error {
		roles, err := store.Roles(ctx, s, []string{"deployer", "none"})
		return want(len(roles), 1, err)
	}},
	{"Locks", "Query", func(ctx context.Context, s *dynamo.Store) error { _, err := store.Locks(ctx, s); return err }},
	{"List", "Query", func(ctx context.Context, s *dynamo.Store) error {
		bots, err := s.List(ctx, rules.KindBot)
		return want(len(bots), 1, err)
	}},
	{"Issuers", "Query", func(ctx context.Context, s *dynamo.Store) error { _, err := s.Issuers(ctx); return err }},
	{"Use", "UpdateItem", func(ctx context.Context, s *dynamo.Store) error {
		first, err := s.Use(ctx, use("first", 1))
		return want(first.NotAfter, use("", 0).NotAfter, err)
	}},
	{"Uses", "GetItem", func(ctx context.Context, s *dynamo.Store) error {
		uses, err := s.Uses(ctx, "token")
		return want(len(uses), 1, err)
	}},
	{"Lease", "UpdateItem", func(ctx context.Context, s *dynamo.Store) error {
		got, err := s.Lease(ctx, "refresh", base, base.Add(time.Minute))
		return want(got, true, err)
	}},
	{"Record", "PutItem", func(ctx context.Context, s *dynamo.Store) error { return s.Record(ctx, stored, base.Add(time.Hour)) }},
	{"Join", "GetItem", func(ctx context.Context, s *dynamo.Store) error { _, err := s.Join(ctx, stored.JoinID); return err }},
	{"Joins", "Query", func(ctx context.Context, s *dynamo.Store) error {
		records, _, err := store.Gather(s.Joins(ctx, store.Query{}))
		return want(len(records), 1, err)
	}},
	{"PutKeySet", "PutItem", func(ctx context.Context, s *dynamo.Store) error { return s.PutKeySet(ctx, keySet()) }},
	{"KeySetFailed", "UpdateItem", func(ctx context.Context, s *dynamo.Store) error {
		return s.KeySetFailed(ctx, issuer, base.Add(time.Minute), "timeout")
	}},
	{"KeySet", "GetItem", func(ctx context.Context, s *dynamo.Store) error {
		ks, err := s.KeySet(ctx, issuer)
		return want(ks.Failure, "timeout", err)
	}},
	{"KeySets", "Scan", func(ctx context.Context, s *dynamo.Store) error {
		sets, err := s.KeySets(ctx)
		return want(len(sets), 1, err)
	}},
	{"Unpin", "UpdateItem", func(ctx context.Context, s *dynamo.Store) error { return s.Unpin(ctx, issuer) }},
	{"PutRotatedAuthority", "PutItem", func(ctx context.Context, s *dynamo.Store) error {
		return s.PutRotatedAuthority(ctx, announced(), "", base)
	}},
	{"RotatedAuthorities", "Query", func(ctx context.Context, s *dynamo.Store) error {
		all, err := s.RotatedAuthorities(ctx)
		return want(len(all), 1, err)
	}},
	{"Revoke", "PutItem", func(ctx context.Context, s *dynamo.Store) error {
		_, err := s.Revoke(ctx, []store.Revocation{revocation}) // none added, if the answer to the one that added it was lost
		return err
	}},
	{"Revocations", "Query", func(ctx context.Context, s *dynamo.Store) error {
		all, err := s.Revocations(ctx)
		return want(len(all), 1, err)
	}},
	{"Forget", "Query", func(ctx context.Context, s *dynamo.Store) error {
		n, err := s.Forget(ctx, base)
		return want(n, 0, err)
	}},
	{"PutCertificate", "PutItem", func(ctx context.Context, s *dynamo.Store) error {
		pem, err := s.PutCertificate(ctx, cert.X509Identity, "", "mine")
		return want(pem, "mine", err)
	}},
	{"Certificate", "GetItem", func(ctx context.Context, s *dynamo.Store) error {
		pem, err := s.Certificate(ctx, cert.X509Identity, "")
		return want(pem, "mine", err)
	}},
}

// absent is nil if err is store.ErrNotFound.
func absent(err error) error {
	if err == nil {
		return errors.New("it is there")
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func want[T comparable](got, want T, err error) error {
	if err == nil && got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return err
}

// answers are what a port says of the store's content, which a fault may never look like.
func isAnswer(err error) bool {
	_, conflict := errors.AsType[*store.ConflictError](err)
	return conflict || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUsed) || errors.Is(err, store.ErrPinned)
}

// TestFaultsThatPass have the first tries of each call fail. The SDK tries again,
// and what a call does is done once.
func TestFaultsThatPass(t *testing.T) {
	for name, fault := range map[string]func() awstest.Fault{
		"throttled twice":                    func() awstest.Fault { return awstest.First(2, awstest.Throttled) },
		"broken":                             func() awstest.Fault { return awstest.First(1, broken) },
		"cut off before it was applied":      func() awstest.Fault { return awstest.First(1, awstest.CutBefore) },
		"cut off after it was applied":       func() awstest.Fault { return awstest.First(1, awstest.CutAfter) },
		"cut off twice after it was applied": func() awstest.Fault { return awstest.First(2, awstest.CutAfter) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, direct, proxy := behindProxy(t)
			for _, c := range calls {
				proxy.Set(fault())
				if err := c.try(t.Context(), s); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				if len(proxy.Requests()) < 2 {
					t.Errorf("%s was not tried again", c.name)
				}
			}
			counted(t, direct)
		})
	}
}

func broken(r awstest.Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
	awstest.Error(http.StatusInternalServerError, "InternalServerError", nil)(r, w, forward)
}

// TestNoAnswer has the first try of a write get none in time, though it was applied.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s, direct, proxy := behindProxy(t, func(o *dynamodb.Options) { o.HTTPClient = dynamo.HTTPClient(500 * time.Millisecond) })
	for _, c := range calls {
		if !strings.Contains(c.operation, "Item") || strings.Contains(c.operation, "Get") {
			continue
		}
		proxy.Set(awstest.First(1, awstest.Late(time.Second)))
		if err := c.try(t.Context(), s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(proxy.Requests()) < 2 {
			t.Errorf("%s was not tried again", c.name)
		}
	}
	counted(t, direct)
}

// counted tests that what calls have stored was stored once.
func counted(t *testing.T, s *dynamo.Store) {
	t.Helper()
	uses, err := s.Uses(t.Context(), "token")
	if err != nil || len(uses) != 1 {
		t.Errorf("the uses are %v, %v; want the one use", uses, err)
	}
	if _, err := s.Use(t.Context(), use("second", 1)); !errors.Is(err, store.ErrUsed) {
		t.Errorf("another use: %v, want store.ErrUsed", err)
	}
	if got, err := s.Lease(t.Context(), "refresh", base, base.Add(time.Minute)); err != nil || got {
		t.Errorf("the lease: %t, %v; want it held", got, err)
	}
}

// TestFaultsThatStay end in an error that tells nothing of what is stored, and
// when they have gone the same calls succeed.
func TestFaultsThatStay(t *testing.T) {
	for name, c := range map[string]struct {
		fault awstest.Fault
		tries int
	}{
		"throttled":                    {awstest.Throttled, dynamo.MaxAttempts},
		"cut off before it is applied": {awstest.CutBefore, dynamo.MaxAttempts},
		"cut off after it was applied": {awstest.CutAfter, dynamo.MaxAttempts},
		"broken":                       {broken, dynamo.MaxAttempts},
		"no such table":                {awstest.Error(http.StatusBadRequest, "ResourceNotFoundException", nil), 1},
		"not permitted":                {awstest.Error(http.StatusBadRequest, "AccessDeniedException", nil), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, direct, proxy := behindProxy(t)
			for _, call := range calls {
				proxy.Set(c.fault)
				err := call.try(t.Context(), s)
				if err == nil || isAnswer(err) {
					t.Errorf("%s: got %v, want an error of the store's", call.name, err)
				}
				tries := c.tries
				if call.name == "Use" {
					tries *= 2 // it writes the use and the record
				}
				if n := len(proxy.Requests()); call.name != "Joins" && n != tries {
					t.Errorf("%s: %d tries, want %d", call.name, n, tries)
				}
				proxy.Set(nil)
				if (call.name == "Write" || call.name == "PutRotatedAuthority") && name == "cut off after it was applied" {
					continue // it was applied, and the next would be another
				}
				err = call.try(t.Context(), s)
				if call.name == "Lease" && name == "cut off after it was applied" {
					if err == nil {
						t.Error("a lease was given twice")
					}
				} else if err != nil {
					t.Errorf("%s, once the fault is gone: %v", call.name, err)
				}
			}
			counted(t, direct)
		})
	}
}

// TestUnreachable has nobody listen.
func TestUnreachable(t *testing.T) {
	names := tables(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + l.Addr().String()
	l.Close()
	s := open(t, names, func(o *dynamodb.Options) { o.BaseEndpoint = &endpoint })
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := c.try(t.Context(), s); err == nil || isAnswer(err) {
				t.Errorf("got %v, want an error of the store's", err)
			}
		})
	}
}

// TestDeadline has DynamoDB not answer in time: calls end when their context does,
// and a use that was stored meanwhile is a retry for the next who asks.
func TestDeadline(t *testing.T) {
	s, direct, proxy := behindProxy(t)
	proxy.Set(awstest.Late(2 * time.Second))
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := c.try(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded", err)
			}
			if took := time.Since(begin); took > 1500*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Cleanup(func() {
		if first, err := direct.Use(context.Background(), use("first", 1)); err != nil || !first.NotAfter.Equal(use("", 0).NotAfter) {
			t.Errorf("the same use again: %s, %v", first.NotAfter, err)
		}
		if _, err := direct.Use(context.Background(), use("second", 1)); !errors.Is(err, store.ErrUsed) {
			t.Errorf("another use: %v, want store.ErrUsed", err)
		}
	})
}

// TestLateRefusal has a conditional failure come late: too late for the caller it
// grants nothing, and in time it is what it says.
func TestLateRefusal(t *testing.T) {
	s, direct, proxy := behindProxy(t)
	if _, err := direct.Use(t.Context(), use("first", 1)); err != nil {
		t.Fatal(err)
	}
	proxy.Set(awstest.Late(300 * time.Millisecond))
	if _, err := s.Use(t.Context(), use("second", 1)); !errors.Is(err, store.ErrUsed) {
		t.Errorf("in time: %v, want store.ErrUsed", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Use(ctx, use("second", 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("too late: %v, want context.DeadlineExceeded", err)
	}
	if uses, err := direct.Uses(t.Context(), "token"); err != nil || len(uses) != 1 {
		t.Errorf("the uses are %v, %v; want the one use", uses, err)
	}
}

// cancelled answers that a transaction was cancelled, with a reason for each item.
func cancelled(reasons ...string) awstest.Fault {
	list := make([]map[string]string, len(reasons))
	for i, code := range reasons {
		list[i] = map[string]string{"Code": code, "Message": "because of " + code}
	}
	return awstest.Error(http.StatusBadRequest, "TransactionCanceledException",
		map[string]any{"Message": "Transaction cancelled", "CancellationReasons": list})
}

func TestCancelledTransactions(t *testing.T) {
	for name, c := range map[string]struct {
		fault    awstest.Fault
		tries    int
		conflict string // the resource in conflict
		fails    bool
	}{
		"another one under way, once": {fault: awstest.First(1, cancelled("None", "TransactionConflict")), tries: 2},
		"another one under way":       {fault: cancelled("TransactionConflict", "None"), tries: dynamo.WriteTries, fails: true},
		"the second was changed":      {fault: cancelled("None", "ConditionalCheckFailed"), tries: 1, conflict: "role/deployer"},
		"the first was changed":       {fault: cancelled("ConditionalCheckFailed", "None"), tries: 1, conflict: "bot/example"},
		"changed, and another one":    {fault: cancelled("TransactionConflict", "ConditionalCheckFailed"), tries: 1, conflict: "role/deployer"},
		"throttled, once":             {fault: awstest.First(1, cancelled("None", "ThrottlingError")), tries: 2},
		"throttled":                   {fault: cancelled("None", "ProvisionedThroughputExceeded"), tries: dynamo.WriteTries, fails: true},
		"throttled, and changed":      {fault: cancelled("ThrottlingError", "ConditionalCheckFailed"), tries: 1, conflict: "role/deployer"},
		"too large":                   {fault: cancelled("ValidationError", "None"), tries: 1, fails: true},
		"no reasons":                  {fault: cancelled(), tries: 1, fails: true},
		"only no reasons":             {fault: cancelled("None", "None"), tries: 1, fails: true},
		"more reasons than changes":   {fault: cancelled("None", "None", "ConditionalCheckFailed"), tries: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, proxy := behindProxy(t)
			proxy.Set(c.fault)
			err := s.Write(t.Context(), create(bot("example"), role("deployer")))
			conflict, isConflict := errors.AsType[*store.ConflictError](err)
			switch {
			case c.conflict != "":
				if !isConflict || fmt.Sprintf("%s/%s", conflict.Kind, conflict.Name) != c.conflict {
					t.Errorf("got %v, want a conflict of %s", err, c.conflict)
				}
			case isConflict || c.fails != (err != nil):
				t.Errorf("got %v", err)
			}
			if n := len(proxy.Requests()); n != c.tries {
				t.Errorf("%d tries, want %d", n, c.tries)
			}
		})
	}
}
