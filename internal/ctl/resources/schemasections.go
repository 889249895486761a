package resources

import (
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// sections are the sections of the CIs in a token rule, by their tables.
func sections() (all object) {
	for _, p := range provider.All() {
		all = append(all, member{p.Method, section(p)})
	}
	return all
}

func section(p *provider.Provider) object {
	properties, required := object{}, []string{}
	for _, s := range p.Settings {
		properties = append(properties, member{s.Name, described(s.Meaning, formOf(&s.Value))})
		if s.Missing != "" {
			required = append(required, s.Name)
		}
	}
	var oneOf []object
	for _, name := range p.NeedsOneOf {
		oneOf = append(oneOf, object{{"required", []string{name}}})
	}
	properties = append(properties,
		member{"allow", described("a job joins that matches one of these rules", ruleList(p, member{"anyOf", oneOf}, object{{"minItems", 1}}))},
		member{"deny", described("a job that matches one of these is refused, whatever allow says", ruleList(p, member{"minProperties", 1}, nil))},
	)
	return described(p.Name, object{
		{"type", "object"}, {"additionalProperties", false}, {"properties", properties}, {"required", append(required, "allow")},
	})
}

// ruleList is a list of rules, each of which holds to a condition.
func ruleList(p *provider.Provider, condition member, more object) object {
	properties := object{}
	for _, f := range p.Fields {
		properties = append(properties, member{f.Name, described(f.Meaning, formOf(&f.Value))})
	}
	rule := object{{"type", "object"}, {"additionalProperties", false}, {"properties", properties}, condition}
	return append(object{{"type", "array"}, {"items", rule}}, more...)
}

func described(text string, schema object) object {
	return append(object{{"description", text}}, schema...)
}

// formOf is how a value looks.
func formOf(v *provider.Value) object {
	text := object{{"type", "string"}}
	switch v.Form {
	case provider.Flag:
		return object{{"type", "boolean"}}
	case provider.UUID:
		return append(text, ids...)
	case provider.Number:
		return object{{"type", []string{"string", "integer"}}, {"pattern", "^[1-9][0-9]*$"}}
	case provider.Issuer:
		return append(text, issuers...)
	case provider.Audience:
		return append(text, audiences...)
	}
	if v.Pattern != "" {
		text = append(text, member{"pattern", "^(" + v.Pattern + ")$"})
	}
	return append(text, matched...)
}

// methodConditions say that a token rule has the section of its method and no other, and
// requires nothing that the CI cannot do.
func methodConditions() (all []object) {
	for _, method := range provider.Methods() {
		others := object{}
		for _, other := range provider.Methods() {
			if other != method {
				others = append(others, member{other, false})
			}
		}
		if !provider.Of(method).Mints {
			others = append(others, member{"bind", object{{"const", rules.BindOptional}}})
		}
		all = append(all, when("join_method", method, object{{"required", []string{method}}, {"properties", others}}))
	}
	return all
}
