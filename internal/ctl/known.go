package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	// lookBack is in how many records, the newest, a name is looked for that is nearly the
	// one that was written.
	lookBack = 200
	// lately is twice as long as anything lives that was issued. Older joins are nothing to
	// a command that stops or revokes, and there may be millions.
	lately = 2 * cert.MaxTTL
)

// UnknownError says that neither a resource nor a record has a name.
type UnknownError struct {
	Kind    rules.Kind
	Name    string
	Nearest string // the name that was likely meant; "" if none is near
	lately  bool   // only lately was looked for in records
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("there is no %s/%s", e.Kind, e.Name)
	if recorded(e.Kind) {
		text += ", and no join of one is recorded"
	}
	if recorded(e.Kind) && e.lately {
		text += fmt.Sprintf(" in the last %.0f hours", lately.Hours())
	}
	return text
}

func (e *UnknownError) refused() *cli.Error {
	return cli.Failed("%w", e).Hint("%ssee what there is with gatepassctl get %s", DidYouMean(string(e.Kind)+"/", e.Nearest), e.Kind)
}

// DidYouMean begins a hint with the name that was likely meant; "" if none is near.
func DidYouMean(before, near string) string {
	if near == "" {
		return ""
	}
	return "did you mean " + before + near + "? "
}

// recorded reports whether records name resources of the kind.
func recorded(kind rules.Kind) bool { return kind == rules.KindBot || kind == rules.KindToken }

// KnownLately returns nil if a resource has the name, or the record of a join by which
// something may still be valid: a bot that was removed may have certificates. Else the
// error is an *UnknownError.
func KnownLately(ctx context.Context, s store.Store, kind rules.Kind, name string, now time.Time) error {
	return known(ctx, s, kind, name, now.Add(-lately))
}

func known(ctx context.Context, s store.Store, kind rules.Kind, name string, since time.Time) error {
	_, err := s.Get(ctx, kind, name)
	if _, invalid := errors.AsType[*store.InvalidError](err); err == nil || invalid {
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if !recorded(kind) {
		return unknown(ctx, s, kind, name, since)
	}
	q := store.Query{Bot: name, Limit: 1, Since: since}
	if kind == rules.KindToken {
		q.Bot, q.Token = "", name
	}
	for _, err := range s.Joins(ctx, q) {
		if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
			return nil // the command says so itself
		}
		return err
	}
	return unknown(ctx, s, kind, name, since)
}

// KnownIf refuses the value of a flag that neither a resource nor any record has. The
// flag was not given if it is empty.
func KnownIf(ctx context.Context, s store.Store, kind rules.Kind, name string) error {
	if name == "" {
		return nil
	}
	return Refused(known(ctx, s, kind, name, time.Time{}))
}

// Refused is an error of a command that goes by a name: of an *UnknownError, with what to
// do next.
func Refused(err error) error {
	if unknown, ok := errors.AsType[*UnknownError](err); ok {
		return unknown.refused()
	}
	return err
}

func unknown(ctx context.Context, s store.Store, kind rules.Kind, name string, since time.Time) error {
	stored, err := s.List(ctx, kind)
	if _, invalid := errors.AsType[*store.InvalidError](err); err != nil && !invalid {
		return err
	}
	var names []string
	for _, one := range stored {
		names = append(names, one.Resource.Name())
	}
	near := words.Nearest(name, names)
	if near == "" && recorded(kind) {
		near = words.Nearest(name, recordedNames(ctx, s, kind))
	}
	return &UnknownError{Kind: kind, Name: name, Nearest: near, lately: !since.IsZero()}
}

func recordedNames(ctx context.Context, s store.Records, kind rules.Kind) (names []string) {
	for r, err := range s.Joins(ctx, store.Query{Limit: lookBack}) {
		if err != nil {
			continue // it is only a hint
		}
		name := r.Bot
		if kind == rules.KindToken {
			name = r.Token
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
