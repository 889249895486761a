package resources

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Where the schemas are published, for the first line of a file.
const (
	resourcesURL = schemas + "gatepass.schema.json"
	casesURL     = schemas + "gatepass-cases.schema.json"

	schemas = "https://raw.githubusercontent.com/gatepass-ci/gatepass/main/docs/schema/"
	draft   = "http://json-schema.org/draft-07/schema#"
)

func (c *commands) schemaCommand() *cobra.Command {
	var cases bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of resources, for editors",
		Long: `schema prints the JSON Schema (draft-07) of bots, token rules, roles and locks, or of
the cases of gatepassctl test. An editor with the YAML language server takes it from
the first line of a file:

  # yaml-language-server: $schema=` + resourcesURL,
		Example: "  gatepassctl schema > gatepass.schema.json\n  gatepassctl schema --cases > gatepass-cases.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := resourcesSchema()
			if cases {
				text, err = casesSchema()
			}
			if err != nil {
				return err
			}
			_, err = c.Out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&cases, "cases", false, "the schema of files of cases instead")
	return cmd
}

// resourcesSchema returns the schema of a resource. What it refuses gatepassctl apply
// refuses; that refuses more, since a schema cannot say all of the rules.
func resourcesSchema() ([]byte, error) {
	g := generator{notes()}
	kinds, choices, definitions := []rules.Kind{}, []object{}, object{}
	for _, s := range rules.Shapes() {
		kinds = append(kinds, s.Kind)
		choices = append(choices, when("kind", string(s.Kind), object{{"$ref", "#/definitions/" + string(s.Kind)}}))
		definitions = append(definitions, member{string(s.Kind), g.resource(s)})
	}
	return writeSchema(object{
		{"$schema", draft},
		{"$id", resourcesURL},
		{"title", "Gatepass resource"},
		{"description", "a bot, a token rule, a role or a lock; described in docs/rules.md"},
		{"type", "object"},
		{"required", []string{"kind"}},
		{"properties", object{{"kind", object{{"description", "what this is"}, {"enum", kinds}}}}},
		{"allOf", choices},
		{"definitions", definitions},
	})
}

// casesSchema returns the schema of a file of cases.
func casesSchema() ([]byte, error) {
	return writeSchema(append(object{
		{"$schema", draft},
		{"$id", casesURL},
		{"title", "Gatepass cases"},
	}, generator{notes()}.generate(reflect.TypeFor[admin.CaseFile](), "cases")...))
}

// when is a condition: where a field has a value, then also holds.
func when(field, value string, then object) object {
	return object{
		{"if", object{{"properties", object{{field, object{{"const", value}}}}}, {"required", []string{field}}}},
		{"then", then},
	}
}

func (g generator) resource(s rules.Shape) object {
	kind := string(s.Kind)
	metadata, spec := g.generate(s.Metadata, kind+".metadata"), g.generate(s.Spec, kind+".spec")
	root := object{
		{"type", "object"},
		{"additionalProperties", false},
		{"properties", object{
			{"kind", object{{"const", kind}}},
			{"version", object{{"description", "version of the kind"}, {"enum", s.Versions}}},
			{"metadata", metadata},
			{"spec", spec},
		}},
		{"required", []string{"kind", "version", "metadata", "spec"}},
	}
	for _, at := range places(s) {
		extend(root, at, func(properties object) object { return append(properties, teleports(s, at, properties)...) })
	}
	return root
}

// places are the objects that Teleport's files have more fields in.
func places(s rules.Shape) []string {
	all := map[string]bool{}
	for _, lists := range []map[string][]string{s.PassedOver, s.Harmless, s.Unlimited} {
		for at := range lists {
			all[at] = true
		}
	}
	for at := range s.Understood {
		all[at] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// teleports are Teleport's fields of one object, as far as they are taken.
func teleports(s rules.Shape, at string, ours object) (more object) {
	for _, name := range slices.Sorted(maps.Keys(s.Understood[at])) {
		of := s.Understood[at][name]
		schema := directions()
		if of != "" {
			schema = append(object{{"description", "Teleport's name of " + of}}, ours.get(of).(object)[1:]...)
		}
		more = append(more, member{name, schema})
	}
	for _, name := range s.Unlimited[at] {
		everywhere := object{{"*", object{{"enum", []any{"*", []string{"*"}}}}}}
		more = append(more, member{name, object{
			{"description", "Teleport's; taken only as '*': '*', since a certificate cannot limit it"},
			{"type", "object"}, {"additionalProperties", false}, {"properties", everywhere}, {"required", []string{"*"}},
		}})
	}
	for _, name := range s.Harmless[at] {
		more = append(more, member{name, object{{"description", "Teleport's; does nothing here, and is taken only with a value that limits nothing"}}})
	}
	for _, name := range s.PassedOver[at] {
		schema := object{{"description", "Teleport's; does nothing here"}}
		if name == "sub_kind" {
			schema = append(schema, member{"const", ""})
		}
		more = append(more, member{name, schema})
	}
	return more
}

// directions is Teleport's ssh_port_forwarding.
func directions() object {
	enabled := object{{"type", "object"}, {"additionalProperties", false}, {"properties", object{{"enabled", object{{"type", "boolean"}}}}}}
	return object{
		{"description", "Teleport's; allows port forwarding if both directions are enabled"},
		{"type", "object"}, {"additionalProperties", false}, {"properties", object{{"local", enabled}, {"remote", enabled}}},
	}
}

// extend changes the properties of the object at a path.
func extend(schema object, at string, change func(object) object) {
	for i, m := range schema {
		if m.name != "properties" {
			continue
		}
		properties := m.value.(object)
		if at == "" {
			schema[i].value = change(properties)
			return
		}
		name, rest, _ := strings.Cut(at, ".")
		extend(properties.get(name).(object), rest, change)
	}
}
