package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// decoder reads YAML into structs as strictly as rules are read, and finds all
// that is wrong: yaml's own decoder passes over much of it, and names Go's types.
type decoder struct {
	file   string
	errors rules.Errors
}

func (d *decoder) fault(line int, field, message string) {
	d.errors = append(d.errors, rules.Error{File: d.file, Line: line, Field: field, Message: message})
}

// decode reads the one document of data into the struct at into.
func (d *decoder) decode(data []byte, into any) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.fault(1, "", "is empty; write cases as docs/explain.md shows")
		return
	case err != nil:
		d.fault(1, "", "is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.fault(1, "", "has several documents; write all cases into one")
		return
	}
	d.value(doc.Content[0], reflect.ValueOf(into).Elem(), "")
}

// value reads a node into v, by v's type.
func (d *decoder) value(n *yaml.Node, v reflect.Value, at string) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fault(n.Line, at, "has an anchor or an alias; write the value itself, or put it under defaults")
		return
	case v.Type() == reflect.TypeFor[time.Time]():
		d.time(n, v, at)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), at)
	case reflect.Struct:
		d.object(n, v, at)
	case reflect.Slice:
		d.list(n, v, at)
	case reflect.Map:
		d.claims(n, v, at)
	case reflect.String:
		if d.is(n, "!!str", "text, in quotes if it looks like something else", at) {
			v.SetString(n.Value)
		}
	case reflect.Int:
		if d.is(n, "!!int", "a whole number", at) {
			number, err := strconv.Atoi(n.Value)
			if err != nil {
				d.fault(n.Line, at, fmt.Sprintf("%q is not a whole number", n.Value))
			}
			v.SetInt(int64(number))
		}
	}
}

func (d *decoder) is(n *yaml.Node, tag, want, at string) bool {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == tag && n.Value != "" {
		return true
	}
	d.fault(n.Line, at, "is not what belongs here; write "+want)
	return false
}

func (d *decoder) time(n *yaml.Node, v reflect.Value, at string) {
	var t time.Time
	if err := t.UnmarshalText([]byte(n.Value)); n.Kind != yaml.ScalarNode || err != nil {
		d.fault(n.Line, at, fmt.Sprintf("%q is not a time; write one such as 2100-01-01T00:00:00Z", n.Value))
		return
	}
	v.Set(reflect.ValueOf(t))
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, at string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n.Line, at, "is not what belongs here; write a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, child := range n.Content {
		d.value(child, v.Index(i), fmt.Sprintf("%s[%d]", at, i))
	}
}

// object reads the fields of a struct by their json names.
func (d *decoder) object(n *yaml.Node, v reflect.Value, at string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, at, "is not what belongs here; write fields, one to a line, as NAME: VALUE")
		return
	}
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "-" {
			v.Field(i).SetInt(int64(n.Line))
			continue
		}
		fields[name], names = i, append(names, name)
	}
	d.members(n, at, func(key string, value *yaml.Node, path string) {
		i, ok := fields[key]
		if !ok {
			d.fault(value.Line, path, "is not a field here; the fields are "+strings.Join(names, ", "))
			return
		}
		d.value(value, v.Field(i), path)
	})
}

// members calls read for each member of a mapping, whose names are strings and
// there once.
func (d *decoder) members(n *yaml.Node, at string, read func(key string, value *yaml.Node, path string)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := strings.TrimPrefix(at+"."+key.Value, ".")
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			d.fault(key.Line, at, "has a name that is not plain text")
		case seen[key.Value]:
			d.fault(key.Line, path, "is there twice; remove one")
		default:
			read(key.Value, value, path)
		}
		seen[key.Value] = true
	}
}

func (d *decoder) claims(n *yaml.Node, v reflect.Value, at string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, at, "is not what belongs here; write claims, one to a line, as NAME: VALUE")
		return
	}
	claims := map[string]any{}
	d.members(n, at, func(key string, value *yaml.Node, path string) { claims[key] = d.claim(value, path) })
	v.Set(reflect.ValueOf(claims))
}

// claim reads a value as JSON has it: YAML's times and the like would not arrive
// as they are written.
func (d *decoder) claim(n *yaml.Node, at string) any {
	switch {
	case n.Kind == yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, child := range n.Content {
			list[i] = d.claim(child, fmt.Sprintf("%s[%d]", at, i))
		}
		return list
	case n.Kind == yaml.MappingNode:
		object := map[string]any{}
		d.members(n, at, func(key string, value *yaml.Node, path string) { object[key] = d.claim(value, path) })
		return object
	case n.Kind != yaml.ScalarNode || n.Anchor != "":
		d.fault(n.Line, at, "has an anchor or an alias; write the value itself")
		return nil
	}
	var value any
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
		if err := n.Decode(&value); err == nil && finite(value) {
			return value
		}
	}
	d.fault(n.Line, at, fmt.Sprintf("%s cannot be a claim; write it in quotes", n.Value))
	return nil
}

// finite reports whether JSON has the value: it has no infinity.
func finite(v any) bool {
	f, ok := v.(float64)
	return !ok || !math.IsInf(f, 0) && !math.IsNaN(f)
}
