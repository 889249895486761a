package rules

import (
	"fmt"
	"maps"
	"slices"
)

// The versions of the kinds. Roles have several, which mean the same here.
const (
	botVersion   = "v1"
	tokenVersion = "v2"
	lockVersion  = "v2"
)

// roleVersions returns the versions that a role may have.
func roleVersions() []string { return []string{"v3", "v4", "v5", "v6", "v7", "v8"} }

// build makes a resource of what was written: valid, and in canonical form. If
// there are faults, all of them are returned and the resource is not to be used.
func build(w wire) (Resource, []fault) {
	c := &checker{}
	var root path
	spec := root.field("spec")
	var r Resource
	switch {
	case w.bot != nil:
		c.version(&root, w, botVersion)
		r = c.bot(&spec, w.bot, c.metadata(&root, w, maxBotName))
	case w.token != nil:
		c.version(&root, w, tokenVersion)
		r = c.token(&spec, w.token, c.metadata(&root, w, maxName))
	case w.role != nil:
		c.version(&root, w, roleVersions()...)
		r = c.role(&spec, w.role, c.metadata(&root, w, maxName), string(w.Version))
	case w.lock != nil:
		c.version(&root, w, lockVersion)
		r = c.lock(&spec, w.lock, c.metadata(&root, w, maxName))
	default:
		return nil, []fault{{"kind", kindProblem(string(w.Kind))}}
	}
	return r, c.faults
}

func kindProblem(kind string) string {
	if kind == "" {
		return "is missing; write bot, token, role or lock"
	}
	return fmt.Sprintf("%q is not known; write bot, token, role or lock", kind)
}

func (c *checker) version(root *path, w wire, known ...string) {
	at := root.field("version")
	switch {
	case slices.Contains(known, string(w.Version)):
	case len(known) > 1:
		c.fault(&at, fmt.Sprintf("%q is no version of a %s; write one from %s to %s", w.Version, w.Kind, known[0], known[len(known)-1]))
	default:
		c.fault(&at, fmt.Sprintf("%q is not the version of a %s; write %s", w.Version, w.Kind, known[0]))
	}
}

func (c *checker) metadata(root *path, w wire, nameLimit int) Metadata {
	m := root.field("metadata")
	name, description := m.field("name"), m.field("description")
	c.fault(&name, checkName(string(w.Metadata.Name), nameLimit))
	c.fault(&description, checkProse(string(w.Metadata.Description), maxDescription))
	c.labels(&m, w.Metadata.Labels)

	expires := m.field("expires")
	if w.token == nil && w.Metadata.Expires != "" {
		problem := fmt.Sprintf("a %s does not expire; remove it", w.Kind)
		if w.lock != nil {
			problem = "is not where a lock's end is written; write spec.expires"
		}
		c.fault(&expires, problem)
		w.Metadata.Expires = ""
	}
	out := Metadata{
		Name:        string(w.Metadata.Name),
		Description: string(w.Metadata.Description),
		Expires:     c.time(&expires, w.Metadata.Expires),
	}
	if len(w.Metadata.Labels) > 0 {
		out.Labels = maps.Clone(w.Metadata.Labels)
	}
	return out
}

func (c *checker) labels(m *path, labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	at := m.field("labels")
	if c.count(&at, len(labels), maxLabels, "labels") < len(labels) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		label := at.field(name)
		if problem := checkPrintable(name, maxLabel); problem != "" {
			c.fault(&at, "the name of a label "+problem)
		}
		c.fault(&label, checkProse(labels[name], maxLabel))
	}
}

func (c *checker) bot(spec *path, w *wireBot, m Metadata) *Bot {
	b := &Bot{Metadata: m}
	b.Roles = c.roleNames(spec, w.Roles)

	traits := spec.field("traits")
	for i := range c.count(&traits, len(w.Traits), maxTraits, "traits") {
		trait := traits.element(i)
		c.trait(&trait, w.Traits[i], b)
	}
	ttl := spec.field("max_session_ttl")
	b.MaxSessionTTL = c.duration(&ttl, w.MaxSessionTTL)
	return b
}

func (c *checker) roleNames(spec *path, names []text) []string {
	roles := spec.field("roles")
	var out []string
	for i := range c.count(&roles, len(names), maxRoles, "roles") {
		at := roles.element(i)
		c.fault(&at, checkName(string(names[i]), maxName))
		out = append(out, string(names[i]))
	}
	c.unique(&roles, out)
	return out
}

func (c *checker) trait(at *path, w wireTrait, b *Bot) {
	name, values := at.field("name"), at.field("values")
	switch _, twice := b.Traits[string(w.Name)]; {
	case !isTraitName(string(w.Name)):
		c.fault(&name, fmt.Sprintf("%q is not the name of a trait; write 1 to %d letters, digits, underscores, hyphens and dots, a letter, digit or underscore first", w.Name, maxTraitName))
	case twice:
		c.fault(&name, fmt.Sprintf("%q is there twice; put all values into one", w.Name))
	}
	var list []string
	for i := range c.count(&values, len(w.Values), maxValues, "values") {
		value := values.element(i)
		c.fault(&value, checkPrintable(string(w.Values[i]), maxValue))
		list = append(list, string(w.Values[i]))
	}
	c.unique(&values, list)
	if b.Traits == nil {
		b.Traits = map[string][]string{}
	}
	b.Traits[string(w.Name)] = list
}

func isTraitName(s string) bool {
	for i := range len(s) {
		b := s[i]
		if !isAlpha(b) && !isLowerAlnum(b) && b != '_' && (i == 0 || b != '.' && b != '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxTraitName
}

func (c *checker) lock(spec *path, w *wireLock, m Metadata) *Lock {
	l := &Lock{Metadata: m, Message: string(w.Message)}
	target, message, expires := spec.field("target"), spec.field("message"), spec.field("expires")

	set := 0
	for _, t := range []struct {
		name  string
		value text
		limit int
	}{
		{"bot", w.Target.Bot, maxBotName}, {"token", w.Target.Token, maxName}, {"role", w.Target.Role, maxName},
	} {
		if t.value != "" {
			set++
			at := target.field(t.name)
			c.fault(&at, checkName(string(t.value), t.limit))
		}
	}
	if w.Target.All {
		set++
	}
	if set != 1 {
		c.fault(&target, "names exactly one of bot, token and role, or is all: true")
	}
	l.Target = Target{Bot: string(w.Target.Bot), Token: string(w.Target.Token), Role: string(w.Target.Role), All: w.Target.All}
	c.fault(&message, checkProse(l.Message, maxDescription))
	l.Expires = c.time(&expires, w.Expires)
	return l
}
