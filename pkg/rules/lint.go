package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// Severity says how bad a finding is.
type Severity int

// The severities, the lightest first.
const (
	SeverityInfo    Severity = iota // worth knowing
	SeverityWarning                 // wider or weaker than it need be, or of no use as it is
)

// String returns "info" or "warning".
func (s Severity) String() string {
	switch s {
	case SeverityInfo:
		return "info"
	case SeverityWarning:
		return "warning"
	}
	return fmt.Sprintf("severity %d", int(s))
}

// Finding is something in valid resources that is likely not meant.
type Finding struct {
	Severity Severity
	Kind     Kind
	Name     string
	Field    string // the field's path, or "" if the whole resource is meant
	Message  string // says what to write instead
}

// Lint looks for what is likely not meant, in resources that are valid. all are
// the resources that will be stored together, since bots, roles and token rules
// are also checked against each other. Findings are in the order of all.
func Lint(all []Resource) []Finding {
	l := newLinter(all)
	for _, r := range all {
		l.kind, l.name = r.Kind(), r.Name()
		switch r := r.(type) {
		case *Bot:
			l.bot(r)
		case *TokenRule:
			l.token(r)
		case *Role:
			l.role(r)
		case *Lock:
			l.lock(r)
		}
	}
	return l.findings
}

type linter struct {
	bots   map[string]bool
	tokens map[string]bool
	roles  map[string]*Role
	used   map[string]bool // roles that a bot has

	kind     Kind // of the resource at hand
	name     string
	findings []Finding
}

func newLinter(all []Resource) *linter {
	l := &linter{bots: map[string]bool{}, tokens: map[string]bool{}, roles: map[string]*Role{}, used: map[string]bool{}}
	for _, r := range all {
		switch r := r.(type) {
		case *Bot:
			l.bots[r.Name()] = true
			for _, name := range r.Roles {
				l.used[name] = true
			}
		case *TokenRule:
			l.tokens[r.Name()] = true
		case *Role:
			l.roles[r.Name()] = r
		}
	}
	return l
}

func (l *linter) find(s Severity, field, format string, args ...any) {
	l.findings = append(l.findings, Finding{Severity: s, Kind: l.kind, Name: l.name, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (l *linter) warn(field, format string, args ...any) {
	l.find(SeverityWarning, field, format, args...)
}

func (l *linter) bot(b *Bot) {
	if len(b.Roles) == 0 {
		l.warn("spec.roles", "the bot has no roles: it is granted nothing but its identity")
	}
	for i, name := range b.Roles {
		role := l.roles[name]
		if role == nil {
			l.warn(fmt.Sprintf("spec.roles[%d]", i), "there is no role %q%s, and no job can join as this bot without it; create it or remove it here", name, didYouMean(name, l.roles))
			continue
		}
		for _, field := range grantFields() {
			for _, s := range *role.Allow.list(field) {
				if name, ok := trait(s); ok {
					l.traitValues(b, name, field)
				}
			}
		}
	}
	l.widened(b)
}

// widened finds logins that one role of a bot grants on some hosts and another on all:
// the labels limit nothing then.
func (l *linter) widened(b *Bot) {
	var roles []*Role
	for _, name := range b.Roles {
		if role := l.roles[name]; role != nil {
			roles = append(roles, role)
		}
	}
	granted := b.Granted(roles) // with templates filled in
	everywhere := map[string]string{}
	for _, g := range granted {
		if g.Allow.NodeLabels == nil {
			for _, login := range g.Allow.Logins {
				everywhere[login] = g.Role
			}
		}
	}
	for _, g := range granted {
		if g.Allow.NodeLabels == nil {
			continue
		}
		for _, login := range g.Allow.Logins {
			if other := everywhere[login]; other != "" {
				l.warn(fmt.Sprintf("spec.roles[%d]", slices.Index(b.Roles, g.Role)), "node_labels of role %s do not limit the login %s, which role %s grants on every host; take that from the bot, or give it node_labels too", g.Role, login, other)
			}
		}
	}
}

// traitValues looks at what a role's template takes from the bot.
func (l *linter) traitValues(b *Bot, name, field string) {
	for _, value := range b.trait(name) {
		if problem := powerful(field, value); problem != "" {
			finding := Finding{SeverityWarning, l.kind, l.name, "spec.traits", fmt.Sprintf("trait %s: %s", name, problem)}
			if !slices.Contains(l.findings, finding) {
				l.findings = append(l.findings, finding)
			}
		}
	}
}

func (l *linter) role(r *Role) {
	if !l.used[r.Name()] {
		l.warn("", "no bot has this role")
	}
	for _, field := range grantFields() {
		for i, s := range *r.Allow.list(field) {
			if problem := powerful(field, s); problem != "" {
				l.warn(fmt.Sprintf("spec.allow.%s[%d]", field, i), "%s", problem)
			}
		}
	}
	c := &r.Allow
	if c.NodeLabels != nil && len(c.Logins) == 0 {
		l.warn("spec.allow.node_labels", "limits logins, and the role grants none; add logins, or remove it")
	}
	if r.Options.PinSourceIP && len(c.DBUsers)+len(c.KubernetesUsers)+len(c.AppNames)+len(c.JWTAudiences) > 0 {
		l.warn("spec.options.pin_source_ip", "only SSH certificates can be pinned to an address; put what is granted beside logins into another role, or take it that it is not pinned")
	}
}

func grantFields() []string {
	return []string{fieldLogins, fieldDBUsers, fieldDBNames, fieldKubernetesUsers, fieldKubernetesGroups, fieldAppNames, fieldJWTAudiences}
}

// powerful says what is wrong with granting a value; "" if nothing is.
func powerful(field, s string) string {
	switch {
	case field == fieldLogins && s == "root":
		return "root may do anything on a host; grant a login of its own, with sudo for what it needs"
	case (field == fieldKubernetesUsers || field == fieldKubernetesGroups) && strings.HasPrefix(s, "system:"):
		return fmt.Sprintf("%q is built into Kubernetes, and may do anything (system:masters); grant a name of your own and bind roles to it", s)
	}
	return ""
}

func (l *linter) lock(k *Lock) {
	missing := func(kind Kind, name, near string) {
		l.warn("spec.target."+string(kind), "there is no %s %q%s: the lock stops nothing as yet", kind, name, near)
	}
	t := k.Target
	switch {
	case t.Bot != "" && !l.bots[t.Bot]:
		missing(KindBot, t.Bot, didYouMean(t.Bot, l.bots))
	case t.Token != "" && !l.tokens[t.Token]:
		missing(KindToken, t.Token, didYouMean(t.Token, l.tokens))
	case t.Role != "" && l.roles[t.Role] == nil:
		missing(KindRole, t.Role, didYouMean(t.Role, l.roles))
	}
}

// didYouMean names the resource that was likely meant; "" if no name is near.
func didYouMean[T any](name string, named map[string]T) string {
	if near := words.Nearest(name, slices.Sorted(maps.Keys(named))); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}
