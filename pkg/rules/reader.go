package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// reader reads one document. It knows where each field stands, so that what is
// found wrong later can still be told with its line.
type reader struct {
	*parser
	lines map[string]int // by path
	bad   []string       // paths that errors were reported for
	late  []fault        // of durations and times, for check to tell in its order
}

// fail reports an error at a node.
func (r *reader) fail(n *yaml.Node, at *path, format string, args ...any) {
	field := at.String()
	r.bad = append(r.bad, field)
	r.errorAt(n.Line, field, fmt.Sprintf(format, args...))
}

func (r *reader) warn(n *yaml.Node, at *path, format string, args ...any) {
	r.warnings = append(r.warnings, Warning{File: r.file, Line: n.Line, Field: at.String(), Message: fmt.Sprintf(format, args...)})
}

// line returns where a field stands, or where the object does that it is missing from.
func (r *reader) line(field string) int {
	for {
		if line, ok := r.lines[field]; ok {
			return line
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
}

// reported tells whether an error was reported of the field, of what it is in
// or of what is in it: another one would only be its echo.
func (r *reader) reported(field string) bool {
	for _, bad := range r.bad {
		if bad == field || within(bad, field) || within(field, bad) {
			return true
		}
	}
	return false
}

func within(field, outer string) bool {
	rest, ok := strings.CutPrefix(field, outer)
	return ok && (outer == "" || strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

// wellFormed refuses, everywhere in a document, what could make two readers take
// it differently: aliases, anchors, tags, merge keys, keys that are no strings
// or there twice, and nesting without end.
func (r *reader) wellFormed(n *yaml.Node, at *path, depth int) bool {
	switch {
	case depth > maxDepth:
		r.fail(n, at, "is nested deeper than %d", maxDepth)
		return false
	case n.Kind == yaml.AliasNode:
		r.fail(n, at, "is an alias (*%s); write the value itself", n.Value)
		return false
	case n.Anchor != "":
		r.fail(n, at, "has an anchor (&%s); remove it, and write the value wherever it is wanted", n.Anchor)
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n, at, "has a tag (%s); remove it", n.Tag)
		return false
	}
	ok := true
	switch n.Kind {
	case yaml.SequenceNode:
		for i, child := range n.Content {
			element := at.element(i)
			ok = r.wellFormed(child, &element, depth+1) && ok
		}
	case yaml.MappingNode:
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			ok = r.member(n.Content[i], n.Content[i+1], at, depth, seen) && ok
		}
	}
	return ok
}

func (r *reader) member(key, value *yaml.Node, at *path, depth int, seen map[string]int) bool {
	if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 {
		r.fail(key, at, "has a key that is not a plain string")
		return false
	}
	if key.ShortTag() == "!!merge" {
		r.fail(key, at, "has a merge key (<<); write the fields themselves")
		return false
	}
	field := at.field(key.Value)
	if line, twice := seen[key.Value]; twice {
		r.fail(key, &field, "is there twice, first on line %d; remove one", line)
		return false
	}
	seen[key.Value] = key.Line
	return r.wellFormed(value, &field, depth+1)
}

// object is a mapping whose fields are read by name. What was not asked for by
// the time of done is an unknown field.
type object struct {
	r      *reader
	at     *path
	node   *yaml.Node
	fields map[string]*yaml.Node
	known  []string
}

// object reads a mapping; nil if the node is none.
func (r *reader) object(n *yaml.Node, at *path) *object {
	if n.Kind != yaml.MappingNode {
		r.fail(n, at, "is %s; write fields, one to a line, as NAME: VALUE", describe(n))
		return nil
	}
	o := &object{r: r, at: at, node: n, fields: map[string]*yaml.Node{}}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		field := at.field(key.Value)
		r.lines[field.String()] = key.Line
		o.fields[key.Value] = n.Content[i+1]
	}
	return o
}

// take returns a field and its path, and remembers that there is such a field.
// A field without a value is an error: it would read as one that is not there.
func (o *object) take(name string) (*yaml.Node, path, bool) {
	at := o.at.field(name)
	o.known = append(o.known, name)
	n, ok := o.fields[name]
	if ok && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		o.r.fail(n, &at, "has no value; write one, or leave the field out")
		ok = false
	}
	return n, at, ok
}

// done reports the fields that nobody took.
func (o *object) done() {
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		key := o.node.Content[i]
		if slices.Contains(o.known, key.Value) {
			continue
		}
		at := o.at.field(key.Value)
		if near := words.Nearest(key.Value, o.known); near != "" {
			o.r.fail(key, &at, "is not a field here; did you mean %s?", near)
		} else {
			o.r.fail(key, &at, "is not a field here; remove it")
		}
	}
}

// text reads a string that is not empty.
func (o *object) text(name string) string {
	n, at, ok := o.take(name)
	if !ok {
		return ""
	}
	s := o.r.text(n, &at)
	if s == "" && n.Kind == yaml.ScalarNode && n.Value == "" {
		o.r.fail(n, &at, "is empty; write a value, or leave the field out")
	}
	return s
}

// prose reads a string that may as well be empty.
func (o *object) prose(name string) string {
	n, at, ok := o.take(name)
	if !ok {
		return ""
	}
	return o.r.text(n, &at)
}

// raw reads a scalar of any type as it is written: an id that is written as a
// number is better told to be no id than to be no string.
func (o *object) raw(name string) string {
	if n := o.fields[name]; n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" && n.Value != "" {
		o.known = append(o.known, name)
		return n.Value
	}
	return o.text(name)
}

func (r *reader) text(n *yaml.Node, at *path) string {
	if n.Kind != yaml.ScalarNode {
		r.fail(n, at, "is %s; write one value", describe(n))
		return ""
	}
	if n.ShortTag() != "!!str" {
		r.fail(n, at, "is %s, and a string is wanted; write %q, with the quotes", describe(n), n.Value)
		return ""
	}
	return n.Value
}

// time reads a timestamp, in quotes or not.
func (o *object) time(name string) string {
	if n := o.fields[name]; n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!timestamp" {
		o.known = append(o.known, name)
		return n.Value
	}
	return o.text(name)
}

// texts reads a list of strings that are not empty.
func (o *object) texts(name string) []string {
	var list []string
	o.list(name, func(n *yaml.Node, at *path) {
		s := o.r.text(n, at)
		if s == "" && n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!str" {
			o.r.fail(n, at, "is empty; write a value, or remove the line")
		}
		list = append(list, s)
	})
	return list
}

// list reads a list, one element after another.
func (o *object) list(name string, read func(n *yaml.Node, at *path)) {
	n, at, ok := o.take(name)
	if !ok {
		return
	}
	if n.Kind != yaml.SequenceNode {
		o.r.fail(n, &at, "is %s; write a list, as [a, b]", describe(n))
		return
	}
	for i, child := range n.Content {
		element := at.element(i)
		o.r.lines[element.String()] = child.Line
		read(child, &element)
	}
}

// objects reads a list of mappings.
func (o *object) objects(name string, read func(*object)) {
	o.list(name, func(n *yaml.Node, at *path) {
		if child := o.r.object(n, at); child != nil {
			read(child)
			child.done()
		}
	})
}

// object reads a mapping within.
func (o *object) object(name string, read func(*object)) (there bool) {
	n, at, ok := o.take(name)
	if !ok {
		return false
	}
	if child := o.r.object(n, &at); child != nil {
		read(child)
		child.done()
		return true
	}
	return false
}

func (o *object) flag(name string) bool {
	n, at, ok := o.take(name)
	if !ok {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		o.r.fail(n, &at, "is %s; write true or false, without quotes", describe(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// integer reads a whole number; what is not there leaves it as it is.
func (o *object) integer(name string, into *int) {
	n, at, ok := o.take(name)
	if !ok {
		return
	}
	number, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		o.r.fail(n, &at, "is %s; write a whole number, without quotes", describe(n))
		return
	}
	*into = number
}

// describe says what a node is, for a person who expected something else.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a set of fields"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "without a value"
	case "!!bool":
		return "the boolean " + n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "the time " + n.Value
	}
	return fmt.Sprintf("the string %q", n.Value)
}
