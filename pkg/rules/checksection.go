package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// method checks that the section of the join method is there, and no other.
func (c *checker) method(spec *path, t *TokenRule) {
	method, p := spec.field("join_method"), provider.Of(t.JoinMethod)
	switch {
	case t.JoinMethod == "":
		c.fault(&method, "is missing; write "+anyOf(provider.Methods()))
		return
	case p == nil:
		c.fault(&method, fmt.Sprintf("%q is not supported; write %s", t.JoinMethod, anyOf(provider.Methods())))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(t.Sections)) {
		at := spec.field(name)
		switch {
		case provider.Of(name) == nil:
			c.fault(&at, unknownField)
		case name != t.JoinMethod:
			c.fault(&at, fmt.Sprintf("join_method is %s; remove this section, or make a token rule of its own for it", t.JoinMethod))
		}
	}
	at := spec.field(t.JoinMethod)
	section, there := t.Sections[t.JoinMethod]
	if !there {
		c.fault(&at, fmt.Sprintf("is missing; join_method is %s, so write its rules here", t.JoinMethod))
		return
	}
	c.section(&at, p, &section)
	t.Sections[t.JoinMethod] = section
}

// anyOf writes a, b or c.
func anyOf(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

const unknownField = "is not a field here; remove it"

// section checks the settings and rules of one CI by its table, and brings them into
// canonical form: the values as they are kept, in the order of the table.
func (c *checker) section(at *path, p *provider.Provider, s *provider.Section) {
	c.known(at, s.Settings, func(name string) bool { f := p.Setting(name); return f != nil && f.Form != provider.Flag })
	flags := map[string]bool{}
	for _, name := range s.Flags {
		if f := p.Setting(name); f == nil || f.Form != provider.Flag {
			flag := at.field(name)
			c.fault(&flag, unknownField)
		}
		flags[name] = true
	}
	settings, on := provider.Values{}, []string(nil)
	for _, setting := range p.Settings {
		field, value := at.field(setting.Name), s.Get(setting.Name)
		switch {
		case setting.Form == provider.Flag:
			if flags[setting.Name] {
				on = append(on, setting.Name)
			}
		case value != "":
			settings = append(settings, provider.Named{Name: setting.Name, Value: c.value(&field, &setting.Value, value)})
		case setting.Missing != "":
			c.fault(&field, "is missing; "+setting.Missing)
		}
	}
	s.Settings, s.Flags = settings, on
	c.rules(at, p, "allow", &s.Allow)
	c.rules(at, p, "deny", &s.Deny)
}

// known notes names that are not in the table, or that are there twice.
func (c *checker) known(at *path, values provider.Values, is func(name string) bool) {
	seen := map[string]bool{}
	for _, v := range values {
		field := at.field(v.Name)
		switch {
		case !is(v.Name):
			c.fault(&field, unknownField)
		case seen[v.Name]:
			c.fault(&field, "is there twice; remove one")
		case v.Value == "":
			c.fault(&field, "is empty; write a value, or leave the field out")
		}
		seen[v.Name] = true
	}
}

// rules checks the rules of one list, of which allow needs one.
func (c *checker) rules(up *path, p *provider.Provider, name string, list *[]provider.Values) {
	at := up.field(name)
	if name == "allow" && len(*list) == 0 {
		c.fault(&at, "is missing or empty; write at least one rule: no job can join without")
	}
	for i := range c.count(&at, len(*list), maxRules, "rules") {
		element := at.element(i)
		c.rule(&element, p, &(*list)[i], name == "allow")
	}
	if len(*list) == 0 {
		*list = nil
	}
}

func (c *checker) rule(at *path, p *provider.Provider, rule *provider.Values, allow bool) {
	c.known(at, *rule, func(name string) bool { return p.Field(name) != nil })
	var kept provider.Values
	for _, f := range p.Fields {
		if value := rule.Get(f.Name); value != "" {
			field := at.field(f.Name)
			kept = append(kept, provider.Named{Name: f.Name, Value: c.value(&field, &f.Value, value)})
		}
	}
	named := func(name string) bool { return rule.Get(name) != "" }
	switch {
	case allow && !slices.ContainsFunc(p.NeedsOneOf, named):
		c.fault(at, fmt.Sprintf("needs %s; without one of them %s", anyOf(p.NeedsOneOf), p.NeedsWhy))
	case len(kept) == 0:
		c.fault(at, "is empty; a rule names at least one field")
	}
	*rule = kept
}

// value checks a value by its form and returns it as it is kept.
func (c *checker) value(at *path, v *provider.Value, s string) string {
	kept, problem := checkValue(v, s)
	if problem == "" && !v.Looks(kept) {
		problem = fmt.Sprintf("%q %s", kept, v.Mistake)
	}
	c.fault(at, problem)
	return kept
}

func checkValue(v *provider.Value, s string) (kept, problem string) {
	switch v.Form {
	case provider.UUID:
		return checkUUID(v, s)
	case provider.Number:
		return s, checkNumber(v, s)
	case provider.Issuer:
		return s, checkIssuer(s)
	case provider.Audience:
		return s, checkAudience(s)
	case provider.Text:
		return s, checkPrintable(s, maxField)
	}
	return s, "takes no text; write true or false"
}

func checkAudience(s string) string {
	if problem := checkPrintable(s, maxValue); problem != "" {
		return problem
	}
	if strings.Contains(s, "*") {
		return fmt.Sprintf("%q has a *; an audience is one exact value", s)
	}
	if before, _, found := strings.Cut(s, provider.BindingMark); found {
		return fmt.Sprintf("%q is the audience of an ID token that is bound to one request; write %q, and bind: required if ID tokens must be bound", s, before)
	}
	return ""
}

// checkUUID reads a UUID, with or without braces and in any case.
func checkUUID(v *provider.Value, s string) (kept, problem string) {
	bare := provider.TrimBraces(s)
	if !isUUID(bare) {
		return "", uuidProblem(v, s)
	}
	if bare = strings.ToLower(bare); v.Braces {
		return "{" + bare + "}", ""
	}
	return bare, ""
}

// uuidProblem says what to write in place of s. A name in place of an id is the
// commonest mistake in rules.
func uuidProblem(v *provider.Value, s string) string {
	kind := "looks like a name"
	switch {
	case isDigits(s):
		kind = "is a number"
	case strings.Contains(s, "/"):
		kind = "looks like a slug or a URL"
	case strings.Trim(strings.ToLower(s), "0123456789abcdef-{}") == "":
		kind = "is not a whole UUID"
	}
	example := "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"
	if v.Braces {
		example = `"{` + example + `}"`
	}
	return fmt.Sprintf("%q %s; write the UUID of %s, such as %s, which is found %s", s, kind, v.Of, example, v.Where)
}

// checkNumber says what is wrong with an id that is a number: a name, most likely.
func checkNumber(v *provider.Value, s string) string {
	if isDigits(s) && len(s) <= 20 && s[0] != '0' {
		return ""
	}
	return fmt.Sprintf("%q is not the number of %s; write it in digits, such as 123456; it is found %s", s, v.Of, v.Where)
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// isUUID reports whether s has the form of RFC 9562 §4, without braces.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if b != '-' {
				return false
			}
		} else if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F') {
			return false
		}
	}
	return true
}

// CheckField reads one value for a field of a resource, for programs that ask a person
// for one after another: name, bot_name, expires, logins, and the settings and rule
// fields of the CIs. It returns the value as it is kept, or an error that says what to
// write instead. What is not set is an error too.
func CheckField(field, value string) (string, error) {
	problem := ""
	switch {
	case value == "":
		problem = "is missing"
	case field == "name":
		problem = checkName(value, maxName)
	case field == "bot_name":
		problem = checkName(value, maxBotName)
	case field == "expires":
		_, problem = parseTime(value)
	case field == fieldLogins:
		problem = checkGrant(field, value)
	default:
		v := valueOf(field)
		if v == nil {
			return "", fmt.Errorf("%q is not a field", field)
		}
		return CheckValue(v, value)
	}
	if problem != "" {
		return "", errors.New(problem)
	}
	return value, nil
}

// CheckValue is CheckField for a setting or a field of one CI.
func CheckValue(v *provider.Value, value string) (string, error) {
	if value == "" {
		return "", errors.New("is missing")
	}
	c := &checker{}
	kept := c.value(&path{}, v, value)
	if len(c.faults) > 0 {
		return "", errors.New(c.faults[0].message)
	}
	return kept, nil
}

func valueOf(field string) *provider.Value {
	for _, p := range provider.All() {
		if f := p.Field(field); f != nil {
			return &f.Value
		}
		if s := p.Setting(field); s != nil {
			return &s.Value
		}
	}
	return nil
}
