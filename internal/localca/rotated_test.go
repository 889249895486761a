package localca_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/localca"
)

// authorityStore is what the database says of authorities.
type authorityStore struct {
	mu     sync.Mutex
	all    []authority.Stored
	writes int
	down   error
	onRead func() // after what is answered was read
}

func (s *authorityStore) RotatedAuthorities(ctx context.Context) ([]authority.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, onRead := slices.Clone(s.all), s.onRead
	s.onRead = nil
	if onRead != nil {
		onRead()
	}
	return all, errors.Join(s.down, ctx.Err())
}

func (s *authorityStore) set(all ...authority.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(all...)
}

func (s *authorityStore) put(all ...authority.State) {
	s.all = nil
	for _, a := range all {
		s.writes++
		s.all = append(s.all, authority.Stored{State: a, Revision: fmt.Sprint(s.writes)})
	}
}

// begin makes a new key of an authority and announces it.
func begin(t testing.TB, dir string, p cert.Purpose) authority.State {
	t.Helper()
	ring := localca.NewKeyRing(dir, localca.Options{})
	id, public, err := ring.First(context.Background(), p)
	must(t, err)
	a, err := authority.First(p, id, public)
	must(t, err)
	id, public, err = ring.Make(context.Background(), a)
	must(t, err)
	a, err = a.Begin(id, public, time.Now())
	must(t, err)
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is checks that an authority has the keys that r says.
func is(t testing.TB, a *authority.Authority, r authority.State) {
	t.Helper()
	used := r.InUse()
	if len(a.TrustedKeys) != len(used) || !used[0].Is(a.Signer.Public()) {
		t.Fatalf("%s has %d keys, want %d", r.Purpose, len(a.TrustedKeys), len(used))
	}
	for i, k := range used {
		if !k.Is(a.TrustedKeys[i]) {
			t.Errorf("%s: the trusted key %d is another", r.Purpose, i)
		}
		if r.Purpose.IsX509() && !k.Is(a.TrustedCertificates[i].PublicKey) {
			t.Errorf("%s: the trusted certificate %d is another key's", r.Purpose, i)
		}
	}
	if r.Purpose.IsX509() && !used[0].Is(a.Certificate.PublicKey.(*ecdsa.PublicKey)) {
		t.Errorf("%s: the certificate is another key's", r.Purpose)
	}
}

func TestRotatedKeysAreSeenAtOnce(t *testing.T) {
	dir, s := newDir(t), &authorityStore{}
	server := open(t, dir, localca.Options{Rotated: s})
	for _, p := range []cert.Purpose{cert.SSHUser, cert.X509Identity} {
		r := begin(t, dir, p)
		ring := localca.NewKeyRing(dir, localca.Options{})
		steps := []func(authority.State) (authority.State, error){
			func(a authority.State) (authority.State, error) { return a, nil },
			func(a authority.State) (authority.State, error) { return a.Sign(time.Now()) },
			func(a authority.State) (authority.State, error) { return a.Back(time.Now()) },
			func(a authority.State) (authority.State, error) { return a.Sign(time.Now()) },
			func(a authority.State) (authority.State, error) { return a.Finish(time.Now()) },
		}
		for _, step := range steps {
			var err error
			r, err = step(r)
			must(t, err)
			s.set(r)
			server.Prepare(t.Context())
			is(t, get(t, server, p), r)
			// Who starts now sees the same.
			is(t, get(t, open(t, dir, localca.Options{Rotated: s}), p), r)
			is(t, get(t, open(t, dir, localca.Options{Rotated: s, ReadOnly: true}), p), r)
		}
		for range 2 { // again does nothing more
			left, err := ring.Retire(t.Context(), string(p))
			must(t, err)
			if left != filepath.Join(dir, string(p)+".key.retired") {
				t.Errorf("what is left to do is %q", left)
			}
		}
		is(t, get(t, open(t, dir, localca.Options{Rotated: s}), p), r)
		must(t, os.Remove(filepath.Join(dir, string(p)+".key.retired")))
		if left, err := ring.Retire(t.Context(), string(p)); err != nil || left != "" {
			t.Errorf("of a key that is gone what is left to do is %q: %v", left, err)
		}
		s.mu.Lock()
		s.all = nil // the next authority begins where this one did
		s.mu.Unlock()
		must(t, os.RemoveAll(dir))
		server = open(t, dir, localca.Options{Rotated: s})
	}
	if _, err := localca.NewKeyRing(dir, localca.Options{}).Retire(t.Context(), "../gatepass"); err == nil {
		t.Error("a file outside of the folder was put aside")
	}
}

// A key that is retired while another process starts is read under neither name.
func TestRetiredWhileStarting(t *testing.T) {
	dir, s := newDir(t), &authorityStore{}
	open(t, dir, localca.Options{})
	r, err := begin(t, dir, cert.SSHUser).Sign(time.Now())
	must(t, err)
	s.set(r)
	past, err := r.Finish(time.Now())
	must(t, err)
	s.onRead = func() {
		s.put(past)
		_, err := localca.NewKeyRing(dir, localca.Options{}).Retire(context.Background(), "ssh-user")
		must(t, err)
	}
	is(t, get(t, open(t, dir, localca.Options{Rotated: s}), cert.SSHUser), past)
}

func TestKeysAreMadeOnce(t *testing.T) {
	dir := newDir(t)
	open(t, dir, localca.Options{})
	for _, p := range []cert.Purpose{cert.SSHUser, cert.X509Database} {
		first := begin(t, dir, p)
		second := begin(t, dir, p)
		if first.Keys[1].ID != second.Keys[1].ID {
			t.Errorf("%s: a second key was made: %s and %s", p, first.Keys[1].ID, second.Keys[1].ID)
		}
		info, err := os.Stat(filepath.Join(dir, first.Keys[1].ID+".key"))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: its file: %v, %v", p, info, err)
		}
		if _, err := os.Stat(filepath.Join(dir, first.Keys[1].ID+".crt")); (err == nil) != p.IsX509() {
			t.Errorf("%s: its certificate: %v", p, err)
		}
	}
	if _, _, err := localca.NewKeyRing(newDir(t), localca.Options{}).First(t.Context(), cert.SSHUser); !errors.Is(err, authority.ErrNone) {
		t.Errorf("in a folder that there is not: %v", err)
	}
}

func TestRotatedKeysThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string, s *authorityStore, a *authority.State)
		says  string
	}{
		{"a key that is not the one that was made", func(t *testing.T, dir string, s *authorityStore, a *authority.State) {
			a.Keys[0].Public, a.Keys[1].Public = a.Keys[1].Public, a.Keys[0].Public
		}, "ssh-user.key is not the key that the store says it is"},
		{"a key that is missing", func(t *testing.T, dir string, s *authorityStore, a *authority.State) {
			must(t, os.Remove(filepath.Join(dir, a.Keys[1].ID+".key")))
		}, ".key: its file is missing; restore it from a backup"},
		{"a key that was retired", func(t *testing.T, dir string, s *authorityStore, a *authority.State) {
			name := filepath.Join(dir, a.Keys[1].ID+".key")
			must(t, os.Rename(name, name+".retired"))
		}, ".key: its file is missing: the key was retired, and gatepass.db is older than that"},
		{"a key that others can read", func(t *testing.T, dir string, s *authorityStore, a *authority.State) {
			must(t, os.Chmod(filepath.Join(dir, a.Keys[1].ID+".key"), 0o644))
		}, "run chmod 600"},
		{"a name that leads elsewhere", func(t *testing.T, dir string, s *authorityStore, a *authority.State) {
			a.Keys[1].ID = "../ssh-user"
		}, `which is no name of a key file of it`},
		{"another authority's key", func(t *testing.T, dir string, s *authorityStore, a *authority.State) {
			a.Keys[1].ID = "ssh-host"
		}, `which is no name of a key file of it`},
		{"a store that does not answer", func(t *testing.T, dir string, s *authorityStore, a *authority.State) {
			s.down = errors.New("the disk is full")
		}, "the disk is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, s := newDir(t), &authorityStore{}
			server := open(t, dir, localca.Options{Rotated: s})
			a := begin(t, dir, cert.SSHUser)
			tt.spoil(t, dir, s, &a)
			s.set(a)
			_, err := localca.Open(t.Context(), dir, localca.Options{Rotated: s})
			mustFail(t, err, tt.says)
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it looks as if there were no authorities: %v", err)
			}
			// A server that runs signs no more, with any of its authorities: it does not
			// know what became of the others either.
			server.Prepare(t.Context())
			for _, p := range []cert.Purpose{cert.SSHUser, cert.JWT} {
				_, err = server.Authority(t.Context(), p)
				mustFail(t, err, tt.says)
			}
			s.mu.Lock()
			s.all, s.down = nil, nil
			s.mu.Unlock()
			server.Prepare(t.Context())
			get(t, server, cert.SSHUser)
		})
	}
}

// Whose caller has gone has not read the store, which says nothing of the keys.
func TestPrepareOfACallerWhoHasGone(t *testing.T) {
	dir, s := newDir(t), &authorityStore{}
	server := open(t, dir, localca.Options{Rotated: s})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server.Prepare(ctx)
	get(t, server, cert.SSHUser)
}

// Key files that tell of a rotation and a store that knows of none: one of the two is
// of another time, and there is no telling which key servers trust.
func TestFilesOfAnotherTimeThanTheStore(t *testing.T) {
	dir := newDir(t)
	open(t, dir, localca.Options{})
	begin(t, dir, cert.X509Identity)
	open(t, dir, localca.Options{Rotated: &authorityStore{}}) // a key that was made and not stored yet
	for _, id := range []string{"x509-identity"} {
		_, err := localca.NewKeyRing(dir, localca.Options{}).Retire(t.Context(), id)
		must(t, err)
	}
	for _, o := range []localca.Options{{}, {Rotated: &authorityStore{}}, {ReadOnly: true}} {
		_, err := localca.Open(t.Context(), dir, o)
		mustFail(t, err, "tells of a rotation of the authority x509-identity that the store does not know", "restore gatepass.db")
	}
	if entries, err := filepath.Glob(filepath.Join(dir, "x509-identity.key")); err != nil || len(entries) > 0 {
		t.Errorf("another key was made: %v", entries)
	}
	_, _, err := localca.NewKeyRing(dir, localca.Options{}).First(t.Context(), cert.X509Identity)
	if err == nil || !strings.Contains(err.Error(), "tells of a rotation") {
		t.Errorf("a rotation begins all the same: %v", err)
	}
}

// TestARunningServerReplacesNoKey has the file of a key go while the server that made it
// runs, on a first start or with --new. The rotation of another authority has all keys read
// again: a new one in the place of the lost one would be one that no server trusts.
func TestARunningServerReplacesNoKey(t *testing.T) {
	for name, anew := range map[string]bool{"a first start": false, "a start with --new": true} {
		for _, lost := range []cert.Purpose{cert.SSHUser, cert.X509Database} {
			t.Run(name+", "+string(lost), func(t *testing.T) {
				dir, s := newDir(t), &authorityStore{}
				server := open(t, dir, localca.Options{Rotated: s, Anew: anew})
				s.set(begin(t, dir, cert.X509Identity))
				key := filepath.Join(dir, string(lost)+".key")
				must(t, os.Remove(key))
				server.Prepare(t.Context())
				if _, err := server.Authority(t.Context(), lost); !errors.Is(err, authority.ErrApart) {
					t.Errorf("the authority is had, with the error %v", err)
				}
				if _, err := os.Lstat(key); !errors.Is(err, fs.ErrNotExist) {
					t.Error("a key was made in the place of the lost one")
				}
			})
		}
	}
}

// TestAKeyThatRootMakesIsTheServers has an administrator rotate an authority with sudo, in a
// folder of the user that the server runs as: the server must read the new key. Where the
// test is not root's there is one user, and nothing can change hands.
func TestAKeyThatRootMakesIsTheServers(t *testing.T) {
	dir := newDir(t)
	open(t, dir, localca.Options{})
	want := os.Geteuid()
	if want == 0 {
		want = 65534
		must(t, os.Chown(dir, want, want))
	}
	for _, k := range begin(t, dir, cert.SSHUser).InUse()[1:] {
		info, err := os.Stat(filepath.Join(dir, k.ID+".key"))
		must(t, err)
		if got := info.Sys().(*syscall.Stat_t).Uid; int(got) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%s belongs to user %d with mode %o, want %d", k.ID, got, info.Mode().Perm(), want)
		}
	}
}
