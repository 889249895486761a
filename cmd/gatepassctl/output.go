package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// print writes v for machines, or calls text for people.
func (c *cli) print(v any, text func()) error {
	switch c.format {
	case "json":
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		return c.printYAML(v)
	}
	text()
	return nil
}

// printYAML writes v by the names that it has in JSON.
func (c *cli) printYAML(v any) error {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node // JSON is YAML; a node keeps the order of fields
	if err := yaml.Unmarshal(encoded, &node); err != nil {
		return err
	}
	blockStyle(&node)
	e := yaml.NewEncoder(c.out)
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

// table writes aligned columns. The first row is the head.
func (c *cli) table(rows [][]string) {
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
}

// resourceJSON is a resource as JSON for printing.
func resourceJSON(r rules.Resource) (json.RawMessage, error) {
	b, err := rules.Encode(r)
	return json.RawMessage(b), err
}

// ago writes how long before now t was, roughly, as people say it.
func ago(now, t time.Time) string {
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

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// dash stands in a table for what is empty.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
