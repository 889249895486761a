package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Op is how a field differs.
type Op string

// The ops.
const (
	Added   Op = "add"
	Changed Op = "change"
	Removed Op = "remove"
)

// Field is a field that differs.
type Field struct {
	Op Op `json:"op"`
	// Path is as in messages about files: spec.bitbucket.allow[0].branch_name. An
	// index is that of After, for what is removed that of Before.
	Path string `json:"path"`
	// Before and After are a string, a boolean, an integer, or a list of strings;
	// nil for what is not there.
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
}

// Fields returns how the fields differ that a step changes, in the order of the
// resource. Of what is created or removed these are all fields.
func (s Step) Fields() ([]Field, error) {
	if s.Action == Unchanged || s.Action == Adopt {
		return nil, nil
	}
	before, err := tree(s.Before)
	if err != nil {
		return nil, err
	}
	after, err := tree(s.After)
	if err != nil {
		return nil, err
	}
	var d differ
	d.compare("", before, after)
	return d.fields, nil
}

// tree is the canonical form of a resource without its kind and name; an empty
// one if there is no resource.
func tree(r rules.Resource) (*yaml.Node, error) {
	empty := &yaml.Node{Kind: yaml.MappingNode}
	if r == nil {
		return empty, nil
	}
	text, err := rules.MarshalYAML(r)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("reading %s as YAML: %w", store.KeyOf(r), err)
	}
	return document.Content[0], nil
}

type differ struct{ fields []Field }

// identity are the fields that are in every line's heading already.
var identity = []string{"kind", "metadata.name"}

func (d *differ) add(op Op, path string, before, after any) {
	if !slices.Contains(identity, path) {
		d.fields = append(d.fields, Field{Op: op, Path: path, Before: before, After: after})
	}
}

func (d *differ) compare(path string, x, y *yaml.Node) {
	switch {
	case x.Kind == yaml.MappingNode && y.Kind == yaml.MappingNode:
		d.objects(path, x, y)
	case x.Kind == yaml.SequenceNode && y.Kind == yaml.SequenceNode:
		d.lists(path, x.Content, y.Content)
	case x.Kind == yaml.ScalarNode && y.Kind == yaml.ScalarNode:
		if x.Value != y.Value {
			d.add(Changed, path, value(x), value(y))
		}
	default:
		d.whole(Removed, path, x)
		d.whole(Added, path, y)
	}
}

// objects compares two objects whose members are in the same order. What goes is
// told before what comes in its place.
func (d *differ) objects(path string, x, y *yaml.Node) {
	next := 0 // of x
	removed := func() {
		for ; next < len(x.Content) && member(y, x.Content[next].Value) == nil; next += 2 {
			d.whole(Removed, below(path, x.Content[next].Value), x.Content[next+1])
		}
	}
	for name, after := range members(y) {
		removed()
		if before := member(x, name); before != nil {
			d.compare(below(path, name), before, after)
			next += 2
		} else {
			d.whole(Added, below(path, name), after)
		}
	}
	removed()
}

// members yields the members of an object in their order.
func members(n *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

func member(n *yaml.Node, name string) *yaml.Node {
	for other, value := range members(n) {
		if other == name {
			return value
		}
	}
	return nil
}

// whole is about all of what is only on one side.
func (d *differ) whole(op Op, path string, n *yaml.Node) {
	switch {
	case n.Kind == yaml.MappingNode:
		for name, value := range members(n) {
			d.whole(op, below(path, name), value)
		}
	case n.Kind == yaml.SequenceNode && !ofScalars(n.Content):
		for i, value := range n.Content {
			d.whole(op, element(path, i), value)
		}
	case op == Added:
		d.add(op, path, nil, value(n))
	default:
		d.add(op, path, value(n), nil)
	}
}

// lists compares two lists by what stays in its order.
func (d *differ) lists(path string, x, y []*yaml.Node) {
	i, j := 0, 0
	for _, same := range append(common(x, y), [2]int{len(x), len(y)}) {
		d.gap(path, x, y, [2]int{i, same[0]}, [2]int{j, same[1]})
		i, j = same[0]+1, same[1]+1
	}
}

// gap compares the elements between two that stayed. Objects that have a name or
// a field in common are taken for the same one, changed.
func (d *differ) gap(path string, x, y []*yaml.Node, from, to [2]int) {
	partner := map[int]int{} // of y in x
	taken := map[int]bool{}
	for _, alike := range []func(a, b *yaml.Node) bool{sameName, shareField} {
		for j := to[0]; j < to[1]; j++ {
			for i := from[0]; i < from[1]; i++ {
				if _, has := partner[j]; !has && !taken[i] && alike(x[i], y[j]) {
					partner[j], taken[i] = i, true
				}
			}
		}
	}
	next := from[0]
	removeUntil := func(end int) {
		for ; next < end; next++ {
			if !taken[next] {
				d.whole(Removed, element(path, next), x[next])
			}
		}
	}
	for j := to[0]; j < to[1]; j++ {
		if i, ok := partner[j]; ok {
			removeUntil(i)
			d.compare(element(path, j), x[i], y[j])
			continue
		}
		if len(partner) == 0 {
			removeUntil(from[1]) // - before +, as people expect
		}
		d.whole(Added, element(path, j), y[j])
	}
	removeUntil(from[1])
}

func sameName(a, b *yaml.Node) bool {
	x, y := member(a, "name"), member(b, "name")
	return a.Kind == yaml.MappingNode && x != nil && y != nil && x.Value == y.Value
}

func shareField(a, b *yaml.Node) bool {
	if a.Kind != yaml.MappingNode || b.Kind != yaml.MappingNode || member(a, "name") != nil {
		return false
	}
	for name, value := range members(a) {
		if other := member(b, name); other != nil && value.Kind == yaml.ScalarNode && other.Value == value.Value {
			return true
		}
	}
	return false
}

// common returns the indices of a longest common subsequence. Lists of resources
// have at most some hundred elements.
func common(x, y []*yaml.Node) (pairs [][2]int) {
	a, b := texts(x), texts(y)
	longest := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

func texts(nodes []*yaml.Node) []string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = text(n)
	}
	return all
}

// text is the same for two nodes exactly if they are equal.
func text(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.ShortTag() + strconv.Quote(n.Value)
	}
	return "[" + strings.Join(texts(n.Content), ",") + "]"
}

func ofScalars(nodes []*yaml.Node) bool {
	return !slices.ContainsFunc(nodes, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode })
}

// value is what a scalar, or a list of them, is in JSON.
func value(n *yaml.Node) any {
	if n.Kind == yaml.SequenceNode {
		list := make([]any, len(n.Content))
		for i, element := range n.Content {
			list[i] = value(element)
		}
		return list
	}
	switch n.ShortTag() {
	case "!!bool":
		return n.Value == "true"
	case "!!int":
		if i, err := strconv.Atoi(n.Value); err == nil {
			return i
		}
	}
	return n.Value
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// plain are the characters of a name that needs no quotes.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// below is the path of a member. The names of labels may have any characters.
func below(path, name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
