package kms

import (
	"context"
	"crypto/ecdsa"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// beginTimeout ends what begin started.
	beginTimeout = 10 * time.Second
	// beginWait is how long after begin a call waits for it, by the wall clock. Lambda freezes
	// a function once it has answered. What begin had under way then may never be answered,
	// so a later call reads for itself.
	beginWait = 500 * time.Millisecond
	// beginKeys is how many keys begin reads at a time: each is a new connection to KMS.
	beginKeys = 4
)

// fetched is what KMS and the store answered of one key.
type fetched struct {
	public         *ecdsa.PublicKey
	pem            string // of an X.509 authority
	keyErr, pemErr error
}

// fetch asks for the public half of a key and, at the same time, for its certificate.
func (a *Authorities) fetch(ctx context.Context, k wanted) (f fetched) {
	var wg sync.WaitGroup
	wg.Go(func() { f.public, f.keyErr = publicKey(ctx, a.c.Client, k.key) })
	if k.purpose.IsX509() {
		wg.Go(func() { f.pem, f.pemErr = a.c.Certificates.Certificate(ctx, k.purpose, k.certificate) })
	}
	wg.Wait()
	return f
}

// early is what begin reads before anybody asks.
type early struct {
	since         time.Time
	rotated, keys chan struct{} // closed when they have been read
	found         sync.Map      // of fetched, by purpose: the keys that the deployment names
}

// begin starts to read what a first join needs once the rules let it in: the keys that the
// deployment names with their certificates and, at the same time, which were rotated. It does
// not wait. An error is not lost: whoever needs the key reads it again, and gets the error.
func (a *Authorities) begin(ctx context.Context) {
	e := &early{since: a.c.Now().Round(0), rotated: make(chan struct{}), keys: make(chan struct{})}
	a.early.Store(e)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beginTimeout)
	go func() {
		defer close(e.rotated)
		_, _ = a.recent(ctx)
	}()
	go func() {
		defer cancel()
		var keys errgroup.Group
		keys.SetLimit(beginKeys)
		for p, key := range a.c.Keys {
			if key == "" || a.get(slot{p, key}) != nil {
				continue
			}
			keys.Go(func() error {
				e.found.Store(p, a.fetch(ctx, wanted{slot: slot{p, key}}))
				return nil
			})
		}
		_ = keys.Wait()
		close(e.keys)
		<-e.rotated
	}()
}

// await waits for a part of what begin reads, if it began a moment ago.
func (a *Authorities) await(ctx context.Context, part func(*early) chan struct{}) {
	e := a.early.Load()
	if e == nil {
		return
	}
	left := beginWait - a.c.Now().Round(0).Sub(e.since)
	if left <= 0 {
		return
	}
	timer := time.NewTimer(min(left, beginWait))
	defer timer.Stop()
	select {
	case <-part(e):
	case <-timer.C:
	case <-ctx.Done():
	}
}

func rotatedPart(e *early) chan struct{} { return e.rotated }
func keysPart(e *early) chan struct{}    { return e.keys }

// take returns what begin read of a key, for its first reading only; ok is false if that
// is of no use, and the key must be asked for.
func (a *Authorities) take(k wanted) (f fetched, ok bool) {
	e := a.early.Load()
	if e == nil || a.c.Keys[k.purpose] != k.key || k.certificate != "" {
		return f, false
	}
	if found, there := e.found.LoadAndDelete(k.purpose); there {
		f = found.(fetched)
		ok = f.keyErr == nil && f.pemErr == nil
	}
	return f, ok
}
