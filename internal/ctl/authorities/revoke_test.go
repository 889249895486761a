package authorities

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// on is a backend of which only the store is asked.
type on struct {
	ctl.Backend
	store store.Store
}

func (o on) Store() store.Store { return o.store }

func testCommands(out *bytes.Buffer) *commands {
	return &commands{&ctl.Env{Env: cli.Env{Name: "gatepassctl", Out: out, Err: io.Discard, Now: time.Now, Getenv: func(string) string { return "" }, Format: "text"}}}
}

// busy is a store in which someone else revokes something just before we do.
type busy struct {
	store.Store
	theirs store.Revocation
}

func (b busy) Revoke(ctx context.Context, all []store.Revocation) (int, error) {
	if _, err := b.Store.Revoke(ctx, []store.Revocation{b.theirs}); err != nil {
		return 0, err
	}
	return b.Store.Revoke(ctx, all)
}

func emptyStore(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func revocation(serial string, ends time.Time) store.Revocation {
	return store.Revocation{ID: "ssh-user." + serial, At: ends.Add(-time.Hour), By: "ada", Certificates: []store.RevokedCertificate{
		{Authority: cert.SSHUser, Serial: serial, ExpiresAt: ends}}}
}

// A server has no list but the one that it is given: what two administrators revoke
// at the same time is in the files of both.
func TestRevokeWritesWhatOthersRevokeMeanwhile(t *testing.T) {
	s, now := emptyStore(t), time.Now().UTC().Truncate(time.Second)
	of := func(serial string) store.Revocation { return revocation(serial, now.Add(time.Hour)) }
	b := on{store: busy{s, of("1")}}
	c := testCommands(new(bytes.Buffer))
	file := filepath.Join(t.TempDir(), "revoked.krl")
	f := revokeFlags{files: listFiles{krl: file}}
	stored, err := c.storeRevocations(t.Context(), b, []store.Revocation{of("2")}, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.writeLists(t.Context(), b, f.files, stored.all, true); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// All but version and time, which stand after magic and format.
	const header, varies = 12, 16
	if want := authority.KRL([]uint64{1, 2}, 0, now); !bytes.Equal(got[header+varies:], want[header+varies:]) {
		t.Errorf("the file has\n%x, want\n%x", got, want)
	}
}

// What is removed is gone from the service's lists: a clock that is ahead, of the
// machine that revokes something else, must not take back a revocation.
func TestRevokeForgetsNothingThatMayCount(t *testing.T) {
	s, now := emptyStore(t), time.Now().UTC().Truncate(time.Second)
	for serial, ago := range map[string]time.Duration{"1": 25 * time.Hour, "2": 23 * time.Hour, "3": -time.Hour} {
		if _, err := s.Revoke(t.Context(), []store.Revocation{revocation(serial, now.Add(-ago))}); err != nil {
			t.Fatal(err)
		}
	}
	c := testCommands(new(bytes.Buffer))
	stored, err := c.storeRevocations(t.Context(), on{store: s}, []store.Revocation{revocation("4", now.Add(time.Hour))}, revokeFlags{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range stored.all {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	if want := []string{"ssh-user.2", "ssh-user.3", "ssh-user.4"}; !slices.Equal(ids, want) {
		t.Errorf("stored are %q, want %q", ids, want)
	}
}

// What an administrator wrote does not reach another's terminal as it is: it may move the cursor.
func TestWhatRevocationsSayIsPlain(t *testing.T) {
	const nasty = "\x1b[2J\x1b]0;title\x07\r\u202eevil\u0085"
	var out bytes.Buffer
	testCommands(&out).printRevocations([]store.Revocation{{By: nasty, Reason: nasty, Bot: nasty, Token: nasty}})
	if strings.ContainsAny(out.String(), "\x1b\x07\r\u202e\u0085") {
		t.Errorf("control characters are printed:\n%q", out.String())
	}
}
