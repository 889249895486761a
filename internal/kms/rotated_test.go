package kms_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/kms"
)

// authorityStore is what the table Resources says of authorities.
type authorityStore struct {
	mu    sync.Mutex
	all   []authority.Stored
	down  error
	reads int
}

func (s *authorityStore) RotatedAuthorities(context.Context) ([]authority.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return slices.Clone(s.all), s.down
}

func (s *authorityStore) set(all ...authority.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
	for _, a := range all {
		s.all = append(s.all, authority.Stored{State: a, Revision: time.Now().String()})
	}
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ring is the key ring of the world's stack.
func (w *world) ring() *kms.KeyRing {
	client := w.client
	return &kms.KeyRing{Client: client, Stack: "gatepass-" + w.t.Name(), Keys: w.config.Keys}
}

// begin announces a new key of an authority.
func (w *world) begin(p cert.Purpose) authority.State {
	w.t.Helper()
	ctx := w.t.Context()
	id, public, err := w.ring().First(ctx, p)
	must(w.t, err)
	a, err := authority.First(p, id, public)
	must(w.t, err)
	id, public, err = w.ring().Make(ctx, a)
	must(w.t, err)
	a, err = a.Begin(id, public, time.Now())
	must(w.t, err)
	return a
}

func (w *world) rotated(s *authorityStore, c *clock) *kms.Authorities {
	config := w.config
	config.Rotated, config.Now = s, c.Now
	return kms.New(config)
}

func TestRotatedAuthority(t *testing.T) {
	w := newWorld(t)
	s, c := &authorityStore{}, &clock{now: time.Now()}
	all := w.rotated(s, c)
	get := func(p cert.Purpose) *authority.Authority {
		t.Helper()
		a, err := all.Authority(t.Context(), p)
		must(t, err)
		return a
	}
	is := func(when string, a *authority.Authority, r authority.State) {
		t.Helper()
		used := r.InUse()
		if !used[0].Is(a.Signer.Public()) || len(a.TrustedKeys) != len(used) || (a.Certificate != nil) != r.Purpose.IsX509() {
			t.Fatalf("%s: the authority has %d keys, want %d", when, len(a.TrustedKeys), len(used))
		}
		if len(a.OtherSigners) != len(used)-1 {
			t.Fatalf("%s: %d of the other keys sign revocation lists, want %d", when, len(a.OtherSigners), len(used)-1)
		}
		for i, s := range a.OtherSigners {
			digest := sha256.Sum256([]byte("a list"))
			signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
			must(t, err)
			if !used[i+1].Is(s.Public()) || !ecdsa.VerifyASN1(s.Public().(*ecdsa.PublicKey), digest[:], signature) {
				t.Errorf("%s: the signer of the other key %d is another's", when, i)
			}
		}
		for i, k := range used {
			if !k.Is(a.TrustedKeys[i]) || r.Purpose.IsX509() && !k.Is(a.TrustedCertificates[i].PublicKey.(crypto.PublicKey)) {
				t.Errorf("%s: the trusted key %d is another", when, i)
			}
		}
		must(t, sign(t, a))
	}
	for _, p := range []cert.Purpose{cert.SSHUser, cert.X509Identity} {
		before := get(p)
		r := w.begin(p)
		s.set(r)
		if a := get(p); len(a.TrustedKeys) != 1 {
			t.Errorf("%s: what was read is gone by for no time", p)
		}
		c.move(authority.CacheFor - time.Second)
		if a := get(p); len(a.TrustedKeys) != 1 {
			t.Errorf("%s: what was read is gone by for less than its time", p)
		}
		c.move(time.Second)
		is("phase 1", get(p), r)
		if p.IsX509() && !get(p).Certificate.Equal(before.Certificate) {
			t.Error("phase 1: the certificate of the old key is another")
		}
		r, err := r.Sign(time.Now())
		must(t, err)
		s.set(r)
		c.move(authority.CacheFor)
		is("phase 2", get(p), r)
		r, err = r.Finish(time.Now())
		must(t, err)
		s.set(r)
		c.move(authority.CacheFor)
		is("phase 3", get(p), r)
	}
	// A clock that was set back is no reason to go by old things.
	reads := s.reads
	c.move(-time.Hour)
	get(cert.SSHUser)
	if s.reads == reads {
		t.Error("with a clock an hour behind what was read is still gone by")
	}
	// Prepare reads what is due, and no more.
	reads = s.reads
	all.Prepare(t.Context())
	get(cert.JWT)
	c.move(authority.CacheFor)
	all.Prepare(t.Context())
	get(cert.SSHUser)
	if s.reads != reads+1 {
		t.Errorf("it was read %d times, want once", s.reads-reads)
	}
}

func TestWrongRotatedAuthorities(t *testing.T) {
	down := errors.New("no answer")
	for _, tt := range []struct {
		name  string
		spoil func(w *world, s *authorityStore, a *authority.State)
		says  string
	}{
		{"a key that is not the one that was made", func(w *world, s *authorityStore, a *authority.State) {
			a.Keys[1].ID = w.key(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
		}, "has another public half than is stored of it"},
		{"a first key that is not the one that it was", func(w *world, s *authorityStore, a *authority.State) {
			a.Keys[0].Public = w.begin(cert.SSHHost).Keys[1].Public
		}, "has another public half than is stored of it"},
		{"a deployment with a key that it never had", func(w *world, s *authorityStore, a *authority.State) {
			w.config.Keys[cert.SSHUser] = w.config.Keys[cert.SSHHost]
		}, "the deployment names another KMS key"},
		{"a key that another authority signs with", func(w *world, s *authorityStore, a *authority.State) {
			a.Keys[1].ID = w.config.Keys[cert.SSHHost]
		}, "is a key of the authority ssh-host too"},
		{"a trusted key that is disabled", func(w *world, s *authorityStore, a *authority.State) {
			_, err := w.client.DisableKey(w.t.Context(), &awskms.DisableKeyInput{KeyId: &a.Keys[1].ID})
			must(w.t, err)
		}, "DisabledException"},
		{"a store that does not answer", func(w *world, s *authorityStore, a *authority.State) { s.down = down }, down.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			s := &authorityStore{}
			a := w.begin(cert.SSHUser)
			tt.spoil(w, s, &a)
			s.set(a)
			_, err := w.rotated(s, &clock{now: time.Now()}).Authority(t.Context(), cert.SSHUser)
			if err == nil || errors.Is(err, authority.ErrNone) || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "authority ssh-user") {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
	t.Run("a deployment by the key that signs now", func(t *testing.T) {
		w := newWorld(t)
		s, a := &authorityStore{}, w.begin(cert.SSHUser)
		s.set(a)
		w.config.Keys[cert.SSHUser] = a.Keys[1].ID
		_, err := w.rotated(s, &clock{now: time.Now()}).Authority(t.Context(), cert.SSHUser)
		must(t, err)
	})
	t.Run("an authority that the deployment has no more", func(t *testing.T) {
		w := newWorld(t)
		s := &authorityStore{}
		s.set(w.begin(cert.JWT))
		w.config.Keys[cert.JWT] = ""
		if _, err := w.rotated(s, &clock{now: time.Now()}).Authority(t.Context(), cert.JWT); !errors.Is(err, authority.ErrNone) {
			t.Errorf("got %v, want authority.ErrNone", err)
		}
	})
}

// A key that cannot be read and does not sign is left out by who serves joins, and
// comes in when it can be read. What differs, or signs, is an error to all.
func TestKeysThatAreLeftOut(t *testing.T) {
	w := newWorld(t)
	s, c := &authorityStore{}, &clock{now: time.Now()}
	var told []string
	w.config.LeaveOut = func(p cert.Purpose, key string, cause error) {
		told = append(told, string(p)+" "+key+" "+cause.Error())
	}
	all := w.rotated(s, c)
	r := w.begin(cert.SSHUser)
	s.set(r)
	fresh := r.Keys[1].ID
	must(t, disable(w, fresh))
	for range 3 {
		a, err := all.Authority(t.Context(), cert.SSHUser)
		must(t, err)
		if len(a.TrustedKeys) != 1 || !r.Keys[0].Is(a.TrustedKeys[0]) {
			t.Fatalf("trusted are %d keys", len(a.TrustedKeys))
		}
		must(t, sign(t, a))
	}
	if len(told) != 1 || !strings.Contains(told[0], "ssh-user "+fresh) || !strings.Contains(told[0], "DisabledException") {
		t.Errorf("it tells of %q, want one key once", told)
	}
	_, err := w.client.EnableKey(t.Context(), &awskms.EnableKeyInput{KeyId: aws.String(fresh[strings.LastIndex(fresh, "/")+1:])})
	must(t, err)
	c.move(authority.CacheFor)
	if a, err := all.Authority(t.Context(), cert.SSHUser); err != nil || len(a.TrustedKeys) != 2 {
		t.Errorf("once it can be read: %v, %v", a, err)
	}

	for what, spoil := range map[string]func(*authority.State){
		"a key that signs": func(a *authority.State) {
			*a = must2(a.Sign(time.Now()))
			must(t, disable(w, a.Keys[1].ID))
		},
		"a key that is another": func(a *authority.State) { a.Keys[1].ID = w.config.Keys[cert.JWT] },
	} {
		r := w.begin(cert.SSHHost)
		spoil(&r)
		s.set(r)
		if a, err := w.rotated(s, c).Authority(t.Context(), cert.SSHHost); err == nil {
			t.Errorf("%s is left out: %d are trusted", what, len(a.TrustedKeys))
		}
	}
}

func must2(a authority.State, err error) authority.State {
	if err != nil {
		panic(err)
	}
	return a
}

// A key that was made and not stored is found; one that somebody else planted is not.
func TestKeysThatAreFound(t *testing.T) {
	w := newWorld(t)
	ring, first := w.ring(), w.begin(cert.SSHUser)
	a := authority.State{Purpose: cert.SSHUser, Keys: first.Keys[:1]}
	out, err := w.client.GetKeyPolicy(t.Context(), &awskms.GetKeyPolicyInput{KeyId: &a.Keys[0].ID, PolicyName: aws.String("default")})
	must(t, err)
	policy := aws.ToString(out.Policy)
	tags := func(stack, authority string) []types.Tag {
		return []types.Tag{{TagKey: aws.String(kms.TagStack), TagValue: &stack}, {TagKey: aws.String(kms.TagAuthority), TagValue: &authority}}
	}
	plant := func(change func(*awskms.CreateKeyInput)) string {
		in := &awskms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, Policy: &policy, Tags: tags(ring.Stack, "ssh-user")}
		change(in)
		out, err := w.client.CreateKey(t.Context(), in)
		must(t, err)
		return aws.ToString(out.KeyMetadata.Arn)
	}
	find := func() string {
		id, public, err := ring.Make(t.Context(), a)
		must(t, err)
		if public == nil {
			t.Error("no public half")
		}
		return id
	}
	for _, later := range []time.Duration{0, 14 * time.Minute} {
		ring.Now = func() time.Time { return time.Now().Add(later) }
		if got := find(); got != first.Keys[1].ID {
			t.Errorf("the key that was made before is not found, but %s", got)
		}
	}
	ring.Now = func() time.Time { return time.Now().Add(16 * time.Minute) }
	if got := find(); got == first.Keys[1].ID {
		t.Error("a key is taken that has waited for a rotation")
	} else {
		must(t, disable(w, got))
	}
	ring.Now = nil
	must(t, disable(w, first.Keys[1].ID))

	planted := map[string]string{
		"of another stack":     plant(func(in *awskms.CreateKeyInput) { in.Tags = tags("another", "ssh-user") }),
		"of another authority": plant(func(in *awskms.CreateKeyInput) { in.Tags = tags(ring.Stack, "ssh-host") }),
		"without tags":         plant(func(in *awskms.CreateKeyInput) { in.Tags = nil }),
		"with another policy": plant(func(in *awskms.CreateKeyInput) {
			in.Policy = aws.String(strings.Replace(policy, `:root"`, `:user/mallory"`, 1))
		}),
		"with material of its own":  plant(func(in *awskms.CreateKeyInput) { in.Origin = types.OriginTypeExternal }),
		"of several regions":        plant(func(in *awskms.CreateKeyInput) { in.MultiRegion = aws.Bool(true) }),
		"of another kind":           plant(func(in *awskms.CreateKeyInput) { in.KeySpec = types.KeySpecEccNistP384 }),
		"that is disabled":          plant(func(*awskms.CreateKeyInput) {}),
		"that somebody may sign by": plant(func(*awskms.CreateKeyInput) {}),
	}
	must(t, disable(w, planted["that is disabled"]))
	granted := planted["that somebody may sign by"]
	_, err = w.client.CreateGrant(t.Context(), &awskms.CreateGrantInput{KeyId: aws.String(granted[strings.LastIndex(granted, "/")+1:]),
		GranteePrincipal: aws.String("arn:aws:iam::123456789012:user/mallory"), Operations: []types.GrantOperation{types.GrantOperationSign}})
	must(t, err)
	if strings.Count(policy, ":root") != 1 {
		t.Fatalf("the policy is %s: the planted one must differ", policy)
	}
	got := find()
	for what, key := range planted {
		if got == key {
			t.Errorf("a key %s was taken", what)
		}
	}
	if again := find(); again != got {
		t.Errorf("another key was made: %s and %s", got, again)
	}
}

func disable(w *world, key string) error {
	_, err := w.client.DisableKey(w.t.Context(), &awskms.DisableKeyInput{KeyId: &key})
	return err
}

// Retiring can be repeated, whatever has become of the key since.
func TestRetire(t *testing.T) {
	w := newWorld(t)
	key, err := awstest.NewKey(t.Context(), w.client)
	must(t, err)
	for range 2 {
		left, err := w.ring().Retire(t.Context(), key)
		if err != nil || left != key {
			t.Errorf("retiring it leaves %q, %v", left, err)
		}
	}
	_, err = w.client.Sign(t.Context(), &awskms.SignInput{KeyId: &key, Message: make([]byte, 32), MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	if _, ok := errors.AsType[*types.DisabledException](err); !ok {
		t.Errorf("signing with it: %v", err)
	}
	gone := strings.Replace(key, "key/", "key/00000000-", 1)
	if left, err := w.ring().Retire(t.Context(), gone); left != "" || err != nil {
		t.Errorf("of a key that is gone it leaves %q, %v", left, err)
	}
	if _, _, err := (&kms.KeyRing{Client: w.client}).First(t.Context(), cert.JWT); !errors.Is(err, authority.ErrNone) {
		t.Errorf("of an authority that there is not: %v", err)
	}
}
