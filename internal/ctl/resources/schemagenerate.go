package resources

import (
	"reflect"
	"strings"
	"time"
)

// generator makes JSON Schemas (draft-07, which editors understand) of the files that
// administrators write. The fields and their types come from the Go types that those
// files are read into and from the table of CIs; what they mean is in notes.
type generator struct{ notes map[string]note }

// generate makes a schema of a type. at is the path of what it describes, such as
// token.spec.bitbucket.allow, by which notes are found.
func (g generator) generate(t reflect.Type, at string) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return g.noted(at, object{{"type", "string"}, {"format", "date-time"}})
	case reflect.TypeFor[time.Duration]():
		return g.noted(at, object{{"type", "string"}})
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.generate(t.Elem(), at)
	case reflect.Struct:
		return g.noted(at, g.fields(t, at))
	case reflect.Slice:
		list := object{{"type", "array"}, {"items", g.generate(t.Elem(), at+"[]")}}
		return g.noted(at, list)
	case reflect.Map:
		return g.noted(at, object{{"type", "object"}, {"additionalProperties", g.generate(t.Elem(), at+".*")}})
	case reflect.Bool:
		return g.noted(at, object{{"type", "boolean"}})
	case reflect.Int:
		return g.noted(at, object{{"type", "integer"}})
	case reflect.String:
		return g.noted(at, object{{"type", "string"}})
	}
	return g.noted(at, object{}) // anything
}

// fields is the schema of a struct, by its json tags.
func (g generator) fields(t reflect.Type, at string) object {
	var properties, required = object{}, []string{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		path := at + "." + name
		n := g.notes[path]
		if name == "-" || n.absent {
			continue
		}
		if options == "embed" {
			properties = append(properties, sections()...)
			continue
		}
		properties = append(properties, member{name, g.generate(t.Field(i).Type, path)})
		if options == "" && !n.optional {
			required = append(required, name)
		}
	}
	schema := object{{"type", "object"}, {"additionalProperties", false}, {"properties", properties}}
	if len(required) > 0 {
		schema = append(schema, member{"required", required})
	}
	return schema
}

// noted puts what a note says of a path in front of its schema and behind it.
func (g generator) noted(at string, schema object) object {
	n, ok := g.notes[at]
	if !ok {
		return schema
	}
	if n.text != "" {
		schema = append(object{{"description", n.text}}, schema...)
	}
	if n.instead != nil {
		schema = append(schema[:len(schema):len(schema)], n.instead...)
		schema = withoutEarlier(schema)
	}
	return append(schema, n.more...)
}

// withoutEarlier keeps of members with one name the last.
func withoutEarlier(schema object) object {
	var out object
	for i, m := range schema {
		if schema[i+1:].get(m.name) == nil {
			out = append(out, m)
		}
	}
	return out
}
