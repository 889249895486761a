package tbot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// entry is one output of the file. What is not declared here must be a field of its
// type, which credentials.Kind declares.
type entry struct {
	Type        string   `yaml:"type"`
	Name        string   `yaml:"name"`
	Destination dest     `yaml:"destination"`
	Roles       []string `yaml:"roles"`
	TTL         duration `yaml:"credential_ttl"`
	Renewal     duration `yaml:"renewal_interval"`

	Own map[string]yaml.Node `yaml:",inline"`
}

// isField reports whether a kind of output has a field in a file, obeyed or not.
func isField(kind credentials.Kind, name string) bool {
	return slices.ContainsFunc(kind.Options, func(o credentials.Option) bool { return o.FieldName() == name }) ||
		slices.ContainsFunc(kind.Ignored, func(i credentials.Ignored) bool { return i.Field == name })
}

// checkFields looks for fields that no kind of output has.
func checkFields(name string, entries []entry) error {
	for _, e := range entries {
		for _, field := range byLine(e.Own) {
			has := func(kind credentials.Kind) bool { return isField(kind, field) }
			if !slices.ContainsFunc(credentials.Kinds(), has) {
				return wrongLine(name, fmt.Sprintf("line %d: unknown field %s", e.Own[field].Line, field))
			}
		}
	}
	return nil
}

// byLine are the names of fields in the order of the file.
func byLine(fields map[string]yaml.Node) []string {
	return slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(fields[a].Line, fields[b].Line), cmp.Compare(fields[a].Column, fields[b].Column))
	})
}

// options reads the fields of an output's own, and refuses those of other types.
func (r *reader) options(w *credentials.Wish, e *entry) {
	for _, option := range w.Kind.Options {
		if node, ok := e.Own[option.FieldName()]; ok {
			r.option(w, option, &node)
		}
	}
	for _, ignored := range w.Kind.Ignored {
		r.ignore(e.Own[ignored.Field], ignored.Field, ignored.Why)
	}
	for _, field := range byLine(e.Own) {
		if !isField(w.Kind, field) {
			r.refuse(e.Own[field], field+" of an output of type "+words.Clean(e.Type), "leave it out")
		}
	}
}

// option sets an option to the value of its field.
func (r *reader) option(w *credentials.Wish, option credentials.Option, node *yaml.Node) {
	name := option.FieldName()
	value := node
	if node.Kind == yaml.AliasNode {
		value = node.Alias
	}
	switch {
	case value.Kind == yaml.SequenceNode && option.Type == credentials.Many:
		for _, item := range value.Content {
			r.option(w, option, item)
		}
		return
	case value.Kind != yaml.ScalarNode:
		r.fail(fmt.Sprintf("line %d: %s must be one word", node.Line, name), "write it like "+name+": VALUE")
		return
	case value.Value == "" || value.Tag == "!!null":
		return // as if it were not there
	}
	text := value.Value
	if option.Opposite {
		var disabled bool
		if err := value.Decode(&disabled); err != nil {
			r.fail(fmt.Sprintf("line %d: %s must be true or false", node.Line, name), "write true or false")
		}
		text = fmt.Sprint(!disabled)
	}
	r.set(w, option.Name, text)
}

// set sets an option.
func (r *reader) set(w *credentials.Wish, option, value string) {
	if value == "" {
		return
	}
	if err := w.Set(option, value); err != nil {
		r.fail(err.Error(), "correct the line")
	}
}
