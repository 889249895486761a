package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Print writes v for machines, or calls text for people.
func (c *Env) Print(v any, text func()) error {
	switch c.Format {
	case "json":
		e := json.NewEncoder(c.Out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		return c.PrintYAML(v)
	}
	text()
	return nil
}

// PrintYAML writes v by the names that it has in JSON.
func (c *Env) PrintYAML(v any) error {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node // JSON is YAML; a node keeps the order of fields
	if err := yaml.Unmarshal(encoded, &node); err != nil {
		return err
	}
	blockStyle(&node)
	e := yaml.NewEncoder(c.Out)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return err
	}
	return e.Close()
}

func blockStyle(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.Style = 0 // the encoder quotes what needs it
	}
	for _, child := range n.Content {
		blockStyle(child)
	}
}

// Table writes aligned columns. The first row is the head.
func (c *Env) Table(rows [][]string) {
	w := tabwriter.NewWriter(c.Out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
}

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

// Dash stands in a table for what is empty.
func Dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Plural counts: 1 key, 2 keys.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// NonNil is s, or an empty slice, which JSON writes as an empty list.
func NonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Warn tells what is wrong and does not stop the command.
func (c *Env) Warn(format string, args ...any) {
	_, bold := c.Colours(c.Err)
	fmt.Fprintf(c.Err, "%s %s\n", bold("gatepassctl: warning:"), fmt.Sprintf(format, args...))
}

// Plain is text that a job chose, without what would move a terminal's cursor or
// change its colours.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// Presented is what a job presented of a field that a rule names.
func Presented(got []string) string {
	if len(got) == 0 {
		return "(absent)"
	}
	return Plain(strings.Join(got, ", "))
}

// Quiet is a log for commands that print what happened themselves.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// IsNotFound reports whether what was asked for is not stored.
func IsNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// Kinds are the kinds of resources, in the order in which they are shown.
func Kinds() []rules.Kind {
	return []rules.Kind{rules.KindBot, rules.KindToken, rules.KindRole, rules.KindLock}
}
