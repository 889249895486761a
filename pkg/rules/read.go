package rules

import (
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// resource reads a document; nil if it has no kind that is known. version is what it
// says that it is written in.
func (r *reader) resource(root *yaml.Node) (resource Resource, version string) {
	o := r.object(root, &path{})
	if o == nil {
		return nil, ""
	}
	kind, version := o.text("kind"), o.text("version")
	resource = newResource(Kind(kind), version)
	metadata := &Metadata{}
	if resource != nil {
		metadata = metadataOf(resource)
	}
	o.object("metadata", func(m *object) { m.fill(reflect.ValueOf(metadata).Elem()) })
	o.skip("revision", "id", "status")
	o.emptySubKind()
	if resource == nil {
		if at := o.at.field("kind"); !r.reported("kind") {
			r.fail(root, &at, "%s", kindProblem(kind))
		}
		return nil, ""
	}
	if at := o.at.field("spec"); o.fields["spec"] == nil {
		r.fail(root, &at, "is missing; write what the %s says under it", kind)
	}
	o.object("spec", func(spec *object) { spec.fill(reflect.ValueOf(resource).Elem()) })
	o.done()
	return resource, version
}

// fill reads the fields of an object into a struct, by their json names, and then what
// Teleport writes in their place. A field Line without a name is where the object is.
func (o *object) fill(v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" && field.Name == "Line":
			v.Field(i).SetInt(int64(o.node.Line))
		case name != "-":
			o.read(name, v.Field(i), field.Tag.Get("rules") == "prose")
		}
	}
	o.teleport(v.Addr().Interface())
}

// read reads one field by its type. What is not there leaves it as it is.
func (o *object) read(name string, v reflect.Value, prose bool) {
	switch p := v.Addr().Interface().(type) {
	case *string:
		if prose {
			*p = o.prose(name)
		} else {
			*p = o.text(name)
		}
	case *bool:
		*p = o.flag(name)
	case *int:
		o.integer(name, p)
	case *time.Time:
		readChecked(o, name, o.time(name), p, parseTime)
	case *time.Duration:
		readChecked(o, name, o.text(name), p, parseDuration)
	case *[]string:
		*p = o.texts(name)
	case *map[string]string:
		*p = o.labels(name)
	case *NodeLabels:
		*p = o.nodeLabels()
	case *Sections:
		*p = o.sections()
	default:
		o.structs(name, v)
	}
}

// structs reads a struct or a list of them.
func (o *object) structs(name string, v reflect.Value) {
	if v.Kind() == reflect.Struct {
		o.object(name, func(child *object) { child.fill(v) })
		return
	}
	o.objects(name, func(child *object) {
		element := reflect.New(v.Type().Elem()).Elem()
		child.fill(element)
		v.Set(reflect.Append(v, element))
	})
}

func readChecked[T any](o *object, name, s string, v *T, parse func(string) (T, string)) {
	if s == "" {
		return
	}
	value, problem := parse(s)
	if problem != "" {
		at := o.at.field(name)
		o.r.late = append(o.r.late, fault{at.String(), problem})
	}
	*v = value
}

func (o *object) labels(name string) map[string]string {
	labels := map[string]string{}
	o.object(name, func(l *object) {
		for key := range l.fields {
			labels[key] = l.prose(key)
		}
	})
	return labels
}

// sections reads the sections of the CIs, by their tables.
func (o *object) sections() Sections {
	sections := Sections{}
	for _, p := range provider.All() {
		o.object(p.Method, func(section *object) { sections[p.Method] = section.section(p) })
	}
	return sections
}

func (o *object) section(p *provider.Provider) (s provider.Section) {
	for _, setting := range p.Settings {
		switch {
		case setting.Form != provider.Flag:
			o.value(&setting.Value, &s.Settings)
		case o.flag(setting.Name):
			s.Flags = append(s.Flags, setting.Name)
		}
	}
	rule := func(list *[]provider.Values) func(*object) {
		return func(r *object) {
			var values provider.Values
			for _, f := range p.Fields {
				r.value(&f.Value, &values)
			}
			*list = append(*list, values)
		}
	}
	o.objects("allow", rule(&s.Allow))
	o.objects("deny", rule(&s.Deny))
	return s
}

// value reads a setting or a rule's field, if it is there.
func (o *object) value(v *provider.Value, into *provider.Values) {
	read := o.text
	if v.Form == provider.UUID || v.Form == provider.Number {
		read = o.raw
	}
	if s := read(v.Name); s != "" {
		*into = append(*into, provider.Named{Name: v.Name, Value: s})
	}
}
