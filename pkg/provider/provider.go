// Package provider is the table of CI systems: for each, all that there is to know of
// its ID tokens and of the rules about its jobs. A CI is one file here. Package rules
// parses, checks, decides and explains by the table; internal/token reads claims by it;
// the JSON Schema, gatepassctl new, gatepass doctor and the tables of docs/rules.md are
// made from it. To add a CI see docs/decisions/0014-provider-table.md.
//
// It is pure, and imports nothing of this module.
package provider

import (
	"maps"
	"slices"
)

// Provider is what there is to know of one CI.
type Provider struct {
	Method string // the join_method, and the name of the section of a token rule
	Name   string // for people

	Settings []Setting // of the section: those with a text first, then the flags
	Fields   []Field   // of a rule, in the order in which they are stored and shown

	// NeedsOneOf are the fields of which an allow rule names at least one, and NeedsWhy
	// says what a rule without them would do.
	NeedsOneOf []string
	NeedsWhy   string

	// Issuer and Audience are what ID tokens must have, byte for byte.
	Issuer, Audience func(*Section) string
	// Mints says that a job can have an ID token minted whenever it asks, for an audience of
	// its choice, so that the ID token can be bound to one request.
	Mints bool

	// Required are claims that the ID token of every job has: texts that are not empty.
	Required []string
	// Others are claims that the CI's ID tokens may have and that no field tests, beside those
	// of every JWT: so that a test of rules knows a name that is misspelt.
	Others []string
	// Check is the CI's own check of claims that are verified and have what is Required;
	// nil if there is none. It returns nil for a job that may go on.
	Check func(Claims, *Section) *Refusal
	// Usual are the claims that say nothing of a job, for tests of rules.
	Usual func(*Section) Claims

	// Guard keeps some jobs from rules that do not mean them; nil if there are none.
	Guard *Guard

	// LintSection and LintRule find what is likely not meant in a valid section and in
	// one of its allow rules, at a path that begins with the section's or the rule's.
	LintSection func(*Section) []Advice
	LintRule    func(*Section, Values) []Advice

	Doctor Doctor
	New    New
}

// Guard is about jobs whose code strangers may have written. A job that it suspects is
// matched only by allow rules that name a field.
type Guard struct {
	Field string
	Jobs  string // those that a rule without the field never matches, as the reference tells it
	Why   string // told in place of what the rule wants of Field
	// Suspects looks at a job's claims, by the names of the rules' fields.
	Suspects func(job map[string][]string) bool
	Unless   string // the flag that turns the guard off; "" if there is none
}

// Refusal says why a job is refused.
type Refusal struct {
	Code   string // of docs/protocol.md
	Detail string // fit for a build log
}

// Advice is something in a valid section that is likely not meant.
type Advice struct {
	Info    bool   // worth knowing, and no more
	Field   string // of the section or the rule; "" if all of it is meant
	Message string // says what to write instead
}

// Doctor is what gatepass doctor tells of an ID token.
type Doctor struct {
	// Renew says how a job gets an ID token that is younger.
	Renew string
	// IssuerSetting is the setting that the issuer follows from; "" if there is none.
	IssuerSetting string
	// Hints say what to do about refusals of the CI's own check, by their codes.
	Hints map[string]string
	// SharedAudience reports whether other services get tokens with this audience too.
	SharedAudience func(audience string, c Claims) bool
	// Look finds what a service refuses unless its rules allow it; nil if there is nothing.
	Look func(Claims) []Notice
}

// Notice is one thing that a doctor finds.
type Notice struct {
	Name, Text, Hint string
	OK               bool // it is no fault
}

var table = map[string]*Provider{}

// add puts a CI into the table. Each file does so for its own, as the program starts;
// nothing changes the table afterwards.
func add(p *Provider) {
	for i := range p.Settings {
		p.Settings[i].compile()
	}
	for i := range p.Fields {
		p.Fields[i].compile()
	}
	table[p.Method] = p
}

// Of returns the provider of a join method, or nil if there is none.
func Of(method string) *Provider { return table[method] }

// Methods returns the join methods, sorted.
func Methods() []string { return slices.Sorted(maps.Keys(table)) }

// All returns the providers in the order of their methods.
func All() []*Provider {
	var all []*Provider
	for _, method := range Methods() {
		all = append(all, table[method])
	}
	return all
}

// Field returns a rule's field by its name, or nil.
func (p *Provider) Field(name string) *Field {
	for i := range p.Fields {
		if p.Fields[i].Name == name {
			return &p.Fields[i]
		}
	}
	return nil
}

// Setting returns a setting by its name, or nil.
func (p *Provider) Setting(name string) *Setting {
	for i := range p.Settings {
		if p.Settings[i].Name == name {
			return &p.Settings[i]
		}
	}
	return nil
}

// FieldNames returns the names of the rules' fields in their order.
func (p *Provider) FieldNames() []string {
	names := make([]string, len(p.Fields))
	for i, f := range p.Fields {
		names[i] = f.Name
	}
	return names
}

// Hint returns what to do about a refusal that some CI makes; "" if none says.
func Hint(code string) string {
	for _, p := range All() {
		if hint := p.Doctor.Hints[code]; hint != "" {
			return hint
		}
	}
	return ""
}

// IssuerSettings returns the settings of all CIs that issuers follow from.
func IssuerSettings() (names []string) {
	for _, p := range All() {
		if name := p.Doctor.IssuerSetting; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Globs returns the names of the fields that may be patterns.
func (p *Provider) Globs() (names []string) {
	for _, f := range p.Fields {
		if f.Glob {
			names = append(names, f.Name)
		}
	}
	return names
}
