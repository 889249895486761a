package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"golang.org/x/term"
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

// PrintJSON writes v as indented JSON.
func (e *Env) PrintJSON(v any) error {
	encoder := json.NewEncoder(e.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// PrintYAML writes v by the names that it has in JSON.
func (e *Env) PrintYAML(v any) error {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node // JSON is YAML; a node keeps the order of fields
	if err := yaml.Unmarshal(encoded, &node); err != nil {
		return err
	}
	blockStyle(&node)
	encoder := yaml.NewEncoder(e.Out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
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
func (e *Env) Table(rows [][]string) {
	w := tabwriter.NewWriter(e.Out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
}

// IsTerminal reports whether a person sees what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Style colours text, or leaves it as it is if it is false.
type Style bool

// Style is in colour for people at a terminal who did not ask to be spared (no-color.org).
func (e *Env) Style(w io.Writer) Style {
	return Style(IsTerminal(w) && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb")
}

// Bold writes text in bold (ECMA-48, section 8.3.117).
func (s Style) Bold(text string) string { return s.with("1", text) }

// Red writes text in red.
func (s Style) Red(text string) string { return s.with("31", text) }

// Green writes text in green.
func (s Style) Green(text string) string { return s.with("32", text) }

// Yellow writes text in yellow.
func (s Style) Yellow(text string) string { return s.with("33", text) }

func (s Style) with(code, text string) string {
	if !s {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
