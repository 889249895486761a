package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Ago writes how long before now t was, roughly, as people say it.
func Ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return short(now.Sub(t)) + " ago"
}

func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(d, 0).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// Stamp writes a time as machines and people read it.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Plural counts: 1 key, 2 keys.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// List writes names after one another.
func List[S ~string](names []S, between string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = string(name)
	}
	return strings.Join(all, between)
}

// Section prints a table below a heading.
func (c *Env) Section(heading string, rows [][]string) {
	fmt.Fprintf(c.Out, "\n%s\n", c.Style(c.Out).Bold(heading))
	c.Table(rows)
}

// NonNil is s, or an empty slice, which JSON writes as an empty list.
func NonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Presented is what a job presented of a field that a rule names.
func Presented(got []string) string {
	if len(got) == 0 {
		return "(absent)"
	}
	return words.Visible(strings.Join(got, ", "))
}

// Few is up to how many things of a kind a command lists for people although nothing came
// of them. More are counted. Machines are told all.
const Few = 20

// Progress tells at a terminal how far long work has come: "stored 200 of 1000 changes" is of
// Progress("stored", "changes", 100). Work of 100 or less is quick: it tells nothing of that.
func (c *Env) Progress(did, things string, quick int) func(done, total int) {
	if !cli.IsTerminal(c.Err) {
		return func(int, int) {}
	}
	terminal := cli.Unguarded(c.Err) // whose cursor this moves
	return func(done, total int) {
		if total <= quick {
			return
		}
		fmt.Fprintf(terminal, "\r%s %d of %d %s", did, done, total, things)
		if done == total {
			fmt.Fprintln(terminal)
		}
	}
}

// Quiet is a log for commands that print what happened themselves.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// Kinds are the kinds of resources, in the order in which they are shown.
func Kinds() []rules.Kind {
	return []rules.Kind{rules.KindBot, rules.KindToken, rules.KindRole, rules.KindLock}
}

// PrintChange prints the answer of a command that changed a store, and which store that
// was: the same command on another looks the same. answer is a struct.
func (c *Env) PrintChange(b Backend, answer any, text func()) error {
	return c.Print(changed{b.String(), answer}, func() {
		text()
		c.printStore(c.Out, b)
	})
}

// PrintSigned is PrintChange for what a store's keys signed: what is printed is a file, so
// that the store is named beside it.
func (c *Env) PrintSigned(b Backend, answer any, text func()) error {
	return c.Print(changed{b.String(), answer}, func() {
		text()
		c.printStore(c.Err, b)
	})
}

func (c *Env) printStore(w io.Writer, b Backend) { fmt.Fprintf(w, "store: %s\n", b) }

// changed is an answer with the store before its own fields.
type changed struct {
	store  string
	answer any
}

// MarshalJSON implements json.Marshaler.
func (a changed) MarshalJSON() ([]byte, error) {
	answer, err := json.Marshal(a.answer)
	if err != nil {
		return nil, err
	}
	store, err := json.Marshal(map[string]string{"store": a.store})
	if err != nil || string(answer) == "{}" {
		return store, err
	}
	return append(append(bytes.TrimSuffix(store, []byte("}")), ','), answer[1:]...), nil
}
