package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// The versions of the kinds. Roles have several, which mean the same here.
const (
	botVersion   = "v1"
	tokenVersion = "v2"
	lockVersion  = "v2"
)

// roleVersions returns the versions that a role may have.
func roleVersions() []string { return []string{"v3", "v4", "v5", "v6", "v7", "v8"} }

// versions returns the versions that a resource of a kind may have.
func versions(kind Kind) []string {
	switch kind {
	case KindBot:
		return []string{botVersion}
	case KindToken:
		return []string{tokenVersion}
	case KindRole:
		return roleVersions()
	}
	return []string{lockVersion}
}

// versionOf returns the version that a resource is written with.
func versionOf(r Resource) string {
	if role, ok := r.(*Role); ok {
		return role.Version
	}
	return versions(r.Kind())[0]
}

// check returns all that is wrong with a resource as it was written, and brings it into
// canonical form. If there are faults it is not to be used. late are those of durations
// and times.
func check(r Resource, version string, late []fault) []fault {
	c := &checker{late: late}
	var root path
	spec := root.field("spec")
	c.version(&root, r.Kind(), version)
	c.metadata(&root, r)
	switch r := r.(type) {
	case *Bot:
		c.bot(&spec, r)
	case *TokenRule:
		c.token(&spec, r)
	case *Role:
		c.role(&spec, r)
	case *Lock:
		c.lock(&spec, r)
	}
	return c.faults
}

func kindProblem(kind string) string {
	if kind == "" {
		return "is missing; write bot, token, role or lock"
	}
	return fmt.Sprintf("%q is not known; write bot, token, role or lock", kind)
}

func (c *checker) version(root *path, kind Kind, version string) {
	at, known := root.field("version"), versions(kind)
	switch {
	case slices.Contains(known, version):
	case len(known) > 1:
		c.fault(&at, fmt.Sprintf("%q is no version of a %s; write one from %s to %s", version, kind, known[0], known[len(known)-1]))
	default:
		c.fault(&at, fmt.Sprintf("%q is not the version of a %s; write %s", version, kind, known[0]))
	}
}

func (c *checker) metadata(root *path, r Resource) {
	at, m := root.field("metadata"), metadataOf(r)
	name, description, expires := at.field("name"), at.field("description"), at.field("expires")
	limit := maxName
	if r.Kind() == KindBot {
		limit = maxBotName
	}
	c.fault(&name, checkName(m.Name, limit))
	c.fault(&description, checkProse(m.Description, maxDescription))
	c.labels(&at, m.Labels)
	if len(m.Labels) == 0 {
		m.Labels = nil
	}
	if r.Kind() == KindToken {
		c.read(&expires)
		return
	}
	if m.Expires.IsZero() && !c.unreadable(&expires) {
		return
	}
	problem := fmt.Sprintf("a %s does not expire; remove it", r.Kind())
	if r.Kind() == KindLock {
		problem = "is not where a lock's end is written; write spec.expires"
	}
	c.fault(&expires, problem)
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

func (c *checker) bot(spec *path, b *Bot) {
	roles, traits, ttl := spec.field("roles"), spec.field("traits"), spec.field("max_session_ttl")
	for i := range c.count(&roles, len(b.Roles), maxRoles, "roles") {
		at := roles.element(i)
		c.fault(&at, checkName(b.Roles[i], maxName))
	}
	c.unique(&roles, b.Roles)
	seen := map[string]bool{}
	for i := range c.count(&traits, len(b.Traits), maxTraits, "traits") {
		trait := traits.element(i)
		c.trait(&trait, &b.Traits[i], seen)
	}
	c.read(&ttl)
	if len(b.Roles) == 0 {
		b.Roles = nil
	}
	if len(b.Traits) == 0 {
		b.Traits = nil
	}
	slices.SortStableFunc(b.Traits, func(x, y Trait) int { return strings.Compare(x.Name, y.Name) })
}

func (c *checker) trait(at *path, t *Trait, seen map[string]bool) {
	name, values := at.field("name"), at.field("values")
	switch {
	case !isTraitName(t.Name):
		c.fault(&name, fmt.Sprintf("%q is not the name of a trait; write 1 to %d letters, digits, underscores, hyphens and dots, a letter, digit or underscore first", t.Name, maxTraitName))
	case seen[t.Name]:
		c.fault(&name, fmt.Sprintf("%q is there twice; put all values into one", t.Name))
	}
	seen[t.Name] = true
	for i := range c.count(&values, len(t.Values), maxValues, "values") {
		value := values.element(i)
		c.fault(&value, checkPrintable(t.Values[i], maxValue))
	}
	c.unique(&values, t.Values)
	if len(t.Values) == 0 {
		t.Values = nil
	}
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

func (c *checker) lock(spec *path, l *Lock) {
	target, message, expires := spec.field("target"), spec.field("message"), spec.field("expires")
	set := 0
	for _, t := range []struct {
		name, value string
		limit       int
	}{
		{"bot", l.Target.Bot, maxBotName}, {"token", l.Target.Token, maxName}, {"role", l.Target.Role, maxName},
	} {
		if t.value != "" {
			set++
			at := target.field(t.name)
			c.fault(&at, checkName(t.value, t.limit))
		}
	}
	if l.Target.All {
		set++
	}
	if set != 1 {
		c.fault(&target, "names exactly one of bot, token and role, or is all: true")
	}
	c.fault(&message, checkProse(l.Message, maxDescription))
	c.read(&expires)
}

// tokenRole is the only role of a token rule: what joins is a bot.
const tokenRole = "Bot"

// What a token rule has unless it says otherwise.
const (
	defaultMaxJoins    = 1
	defaultMaxTokenAge = time.Hour
)

func (c *checker) token(spec *path, t *TokenRule) {
	roles, bot, joins, age := spec.field("roles"), spec.field("bot_name"), spec.field("max_joins"), spec.field("max_token_age")
	if len(t.Roles) != 1 || t.Roles[0] != tokenRole {
		c.fault(&roles, "must be exactly [Bot]; what a bot may do is written in the bot's own roles")
	}
	if t.BotName == "" {
		c.fault(&bot, "is missing; name the bot that jobs join as")
	} else {
		c.fault(&bot, checkName(t.BotName, maxBotName))
	}
	if t.MaxJoins < 1 || t.MaxJoins > maxJoinsLimit {
		c.fault(&joins, fmt.Sprintf("is %d; write a number from 1 to %d", t.MaxJoins, maxJoinsLimit))
	}
	c.read(&age)
	if t.MaxTokenAge == 0 {
		t.MaxTokenAge = defaultMaxTokenAge
	}
	if t.MaxTokenAge > maxTokenAge {
		c.fault(&age, fmt.Sprintf("is %s; write at most %s", t.MaxTokenAge, maxTokenAge))
	}
	c.bind(spec, t)
	c.method(spec, t)
}

// bind checks that what is required can be had, and leaves the default out.
func (c *checker) bind(spec *path, t *TokenRule) {
	bind, p := spec.field("bind"), provider.Of(t.JoinMethod)
	switch t.Bind {
	case "", BindOptional:
		t.Bind = ""
	case BindRequired:
		if p != nil && !p.Mints {
			c.fault(&bind, fmt.Sprintf("cannot be required: %s mints an ID token before a job can ask for one, so it cannot be bound to a request; remove bind", p.Name))
		}
	default:
		c.fault(&bind, fmt.Sprintf("%q is not a value of bind; write required, or optional", t.Bind))
	}
}
