package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// lockTries bounds how often a lock is stored again after someone else was faster.
const lockTries = 5

// maxLockName is how long a lock's name may be.
const maxLockName = 253

// LongerError says that what shall be locked is locked for longer already.
type LongerError struct{ Lock *rules.Lock }

func (e *LongerError) Error() string {
	until := "until it is unlocked"
	if !e.Lock.Expires.IsZero() {
		until = "until " + e.Lock.Expires.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("it is locked by lock/%s already, %s", e.Lock.Name(), until)
}

// TargetID is what a lock stops, as people write it: bot/example, or everything.
func TargetID(t rules.Target) string {
	switch {
	case t.All:
		return "everything"
	case t.Bot != "":
		return "bot/" + t.Bot
	case t.Token != "":
		return "token/" + t.Token
	}
	return "role/" + t.Role
}

// Lock stores a lock of t and returns it as stored. One that the same target has
// from an earlier call is replaced, unless that one is longer: then the error is a
// *LongerError, and nothing changes.
func Lock(ctx context.Context, s store.Resources, t rules.Target, message string, expires, now time.Time) (*rules.Lock, error) {
	for try := 1; ; try++ {
		lock, err := lockOnce(ctx, s, t, message, expires, now)
		if _, conflict := errors.AsType[*store.ConflictError](err); !conflict || try == lockTries {
			return lock, err
		}
	}
}

func lockOnce(ctx context.Context, st store.Resources, t rules.Target, message string, expires, now time.Time) (*rules.Lock, error) {
	stored, err := st.List(ctx, rules.KindLock)
	if err != nil {
		return nil, fmt.Errorf("reading the locks: %w", err)
	}
	name, revision := lockName(t), ""
	var meta rules.Metadata // the labels of one that a file made stay: by them it can be pruned
	for i := 2; ; i++ {
		at := slices.IndexFunc(stored, func(s store.Stored) bool { return s.Resource.Name() == name })
		if at < 0 {
			break
		}
		if before, ok := stored[at].Resource.(*rules.Lock); ok && before.Target == t {
			if longer(before.Expires, expires) {
				return nil, &LongerError{Lock: before}
			}
			meta, revision = before.Metadata, stored[at].Revision
			break
		}
		name = fmt.Sprintf("%s-%d", lockName(t), i) // someone has called another lock so
	}
	meta.Name = name
	lock, err := canonicalLock(&rules.Lock{Metadata: meta, Target: t, Message: message, Expires: expires})
	if err != nil {
		return nil, err
	}
	return lock, st.Write(ctx, []store.Change{{Kind: rules.KindLock, Name: name, Resource: lock, Revision: revision, At: now, Edited: true}})
}

// longer tells whether a lock that ends at before ends later than one that ends at
// after. The zero time is never.
func longer(before, after time.Time) bool {
	return !after.IsZero() && (before.IsZero() || before.After(after))
}

// lockName is the name of a lock of t: bot-example.
func lockName(t rules.Target) string {
	if t.All {
		return "everything"
	}
	name := strings.Replace(TargetID(t), "/", "-", 1)
	if len(name) > maxLockName-3 { // which leaves room for a number
		sum := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("%.200s-%x", name, sum[:8])
	}
	return name
}

// ErrTarget says that no lock can be as it was asked for.
var ErrTarget = errors.New("there can be no such lock")

// canonicalLock checks a lock as one in a file is checked.
func canonicalLock(l *rules.Lock) (*rules.Lock, error) {
	anonymous := *l // whose name, which is made of the target's, is right whatever that is
	anonymous.Metadata.Name = "lock"
	if _, err := rules.Encode(&anonymous); err != nil {
		if fault := errors.Unwrap(err); fault != nil { // without the name that it has not
			err = fault
		}
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	encoded, err := rules.Encode(l)
	if err != nil {
		return nil, err
	}
	decoded, err := rules.Decode(encoded)
	if err != nil {
		return nil, err
	}
	return decoded.(*rules.Lock), nil
}

// Unlock removes every lock that fits and returns them; store.ErrNotFound if none does.
func Unlock(ctx context.Context, st store.Resources, fits func(*rules.Lock) bool, now time.Time) ([]*rules.Lock, error) {
	stored, err := st.List(ctx, rules.KindLock)
	if err != nil {
		return nil, fmt.Errorf("reading the locks: %w", err)
	}
	var removed []*rules.Lock
	var changes []store.Change
	for _, s := range stored {
		if l, ok := s.Resource.(*rules.Lock); ok && fits(l) {
			removed = append(removed, l)
			changes = append(changes, store.Change{Kind: rules.KindLock, Name: l.Name(), Revision: s.Revision, At: now})
		}
	}
	if len(removed) == 0 {
		return nil, fmt.Errorf("lock: %w", store.ErrNotFound)
	}
	for batch := range slices.Chunk(changes, store.MaxChanges) {
		if err := st.Write(ctx, batch); err != nil {
			return nil, err
		}
	}
	return removed, nil
}

// StillLocked returns the first lock that stops t at now; nil if none does. Of a bot
// the locks of its roles count too.
func StillLocked(ctx context.Context, s store.ResourceReader, t rules.Target, now time.Time) (*rules.Lock, error) {
	locks, err := store.Locks(ctx, s)
	if err != nil {
		return nil, err
	}
	var botRoles []string
	if t.Role != "" {
		botRoles = []string{t.Role}
	}
	name := t.Bot
	if t.Token != "" {
		token, err := store.Token(ctx, s, t.Token)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			name = token.BotName
		}
	}
	if name != "" {
		bot, err := store.Bot(ctx, s, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			botRoles = bot.Roles
		}
	}
	return rules.ActiveLock(locks, name, t.Token, botRoles, now), nil
}
