package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// Formats are those of --format.
func Formats() []string { return []string{"text", "json", "yaml"} }

// or lists what there is to choose from: text, json or yaml.
func or(list []string) string {
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// OutputFlag gives a command the flag -o, which people have in their fingers for
// --format. set gets its value, one of the words allowed.
func OutputFlag(cmd *cobra.Command, usage string, set func(string), allowed ...string) {
	cmd.Flags().VarP(&choice{allowed: allowed, set: set}, "output", "o", usage)
	Complete(cmd, "output", allowed...)
}

// choice is a flag that takes one of some words.
type choice struct {
	allowed []string
	value   string
	set     func(string)
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "format" }

// Set implements pflag.Value.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("write %s", or(c.allowed))
	}
	c.value = s
	c.set(s)
	return nil
}

// Print writes v for machines, or calls text for people, as Format says.
func (e *Env) Print(v any, text func()) error {
	switch e.Format {
	case "json":
		return e.PrintJSON(v)
	case "yaml":
		return e.PrintYAML(v)
	}
	text()
	return nil
}

// PrintJSON writes v as indented JSON. What would move a terminal is escaped in it.
func (e *Env) PrintJSON(v any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := e.Out.Write(words.EscapeJSON(out.Bytes()))
	return err
}

// PrintYAML writes v by the names that it has in JSON. What would move a terminal is
// escaped in it.
func (e *Env) PrintYAML(v any) error {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text, err := words.YAML(encoded)
	if err != nil {
		return err
	}
	_, err = e.Out.Write(text)
	return err
}

// Table writes aligned columns. The first row is the head. No cell makes another one, or
// another row.
func (e *Env) Table(rows [][]string) {
	w := tabwriter.NewWriter(e.Out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = ends.Replace(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush()
}

// ends replaces what ends a cell or a row.
var ends = strings.NewReplacer("\t", "\uFFFD", "\n", "\uFFFD", "\v", "\uFFFD", "\f", "\uFFFD")

// Style colours text, or leaves it as it is if it is false.
type Style bool

// Style is in colour for people at a terminal who did not ask to be spared (no-color.org).
func (e *Env) Style(w io.Writer) Style {
	return Style(IsTerminal(w) && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb")
}

// The colours (ECMA-48, section 8.3.117).
const (
	plain  = "0"
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// Bold writes text in bold.
func (s Style) Bold(text string) string { return s.with(bold, text) }

// Red writes text in red.
func (s Style) Red(text string) string { return s.with(red, text) }

// Green writes text in green.
func (s Style) Green(text string) string { return s.with(green, text) }

// Yellow writes text in yellow.
func (s Style) Yellow(text string) string { return s.with(yellow, text) }

func (s Style) with(code, text string) string {
	if !s {
		return text
	}
	return sequence(code) + text + sequence(plain)
}

func sequence(code string) string { return "\x1b[" + code + "m" }
