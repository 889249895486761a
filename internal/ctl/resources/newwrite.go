package resources

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// writeRules returns the YAML of a bot, a role and a token rule, with comments. a must be
// complete. findings are what lint says of them above info; there are none unless an
// answer is a pattern of everything, or names a CircleCI server of one's own.
func writeRules(method string, a answered) (text []byte, findings []rules.Finding, err error) {
	var p page
	p.head(method, a)
	p.role(a)
	p.bot(a)
	p.token(method, a)
	documents, _, err := rules.Parse("the rules made", p.Bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("the answers do not make rules: %w", err)
	}
	var all []rules.Resource
	for _, d := range documents {
		all = append(all, d.Resource)
	}
	for _, f := range rules.Lint(all) {
		if f.Severity > rules.SeverityInfo {
			findings = append(findings, f)
		}
	}
	return p.Bytes(), findings, nil
}

// page is YAML as people would write it, which an encoder does not: with comments. It
// is not made by text/template, whose calls of methods by name would have the linker
// keep every method there is: a third of the whole program.
type page struct{ bytes.Buffer }

// lines writes text, of which each %q is the next value, quoted.
func (p *page) lines(text string, values ...string) {
	quoted := make([]any, len(values))
	for i, v := range values {
		quoted[i] = words.YAMLString(v)
	}
	fmt.Fprintf(p, strings.ReplaceAll(strings.TrimPrefix(text, "\n"), "%q", "%s"), quoted...)
}

func (p *page) head(method string, a answered) {
	p.lines(`
# yaml-language-server: $schema=https://raw.githubusercontent.com/gatepass-ci/gatepass/main/docs/schema/gatepass.schema.json
#
# Which jobs may join, and what they get. Store it with: gatepassctl apply -f FILE
# Every field is described in docs/rules.md.
#
`)
	replace := strings.NewReplacer(`"{audience}"`, words.YAMLString(a["audience"]), "{audience}", a["audience"], "{bot}", a["bot"])
	p.comment("", replace.Replace(provider.Of(method).New.Head))
}

// comment writes lines as a comment.
func (p *page) comment(indent, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		p.WriteString(strings.TrimRight(indent+"# "+line, " ") + "\n")
	}
}

func (p *page) role(a answered) {
	p.lines(`

# What the jobs may do.
kind: role
version: v7
metadata:
  name: %q
spec:
  allow:
    # Accounts on the hosts that trust the SSH user authority.
    logins:
`, a["bot"])
	for login := range strings.SplitSeq(a["logins"], ",") {
		p.lines("      - %q\n", login)
	}
	p.lines(`
  options:
    # No credential lives longer. A job can ask for less.
    max_session_ttl: 1h
---
`)
}

func (p *page) bot(a answered) {
	p.lines(`
# Who the jobs become.
kind: bot
version: v1
metadata:
  name: %q
spec:
  roles: [%q]
---
`, a["bot"], a["bot"])
}

func (p *page) token(method string, a answered) {
	p.lines(`
# Which jobs those are.
kind: token
version: v2
metadata:
  name: %q # jobs name it; it is no secret
  expires: %q # from then on it lets nobody in
spec:
  roles: [Bot]
  join_method: `+method+`
  bot_name: %q
`, a["bot"], a["expires"], a["bot"])
	ci := provider.Of(method)
	if ci.Mints {
		p.comment("  ", "A stolen ID token is worth nothing without the job's keys. gatepass binds each by\nitself; remove this if jobs join by another client that does not.")
		p.lines("  bind: " + rules.BindRequired + "\n")
	}
	p.section(ci, a)
}

// section writes the settings of a CI, and one allow rule.
func (p *page) section(ci *provider.Provider, a answered) {
	p.lines("  " + ci.Method + ":\n")
	globs := false
	for _, q := range ci.New.Questions {
		if f := ci.Field(q.For); f != nil {
			globs = globs || f.Glob && strings.ContainsAny(a[q.Name], "*?")
		} else {
			p.named("    ", &q, a[q.Name])
		}
	}
	p.comment("    ", ci.New.Audience)
	p.lines("    audience: %q\n", a["audience"])
	if globs { // without, no branch and no repository has such a name
		p.comment("    ", "In "+strings.Join(ci.Globs(), " and ")+" * is any run of characters, ? is one.")
		p.lines("    " + provider.GlobSetting + ": true\n")
	}
	p.comment("    ", "A job joins if it matches every line of one of these rules.")
	p.lines("    allow:\n")
	first := "      - "
	for _, q := range ruleQuestions(ci) {
		if a[q.Name] != "" {
			p.named(first, &q, a[q.Name])
			first = "        "
		}
	}
}

// ruleQuestions are those about fields of a rule, the one that a rule begins with first.
func ruleQuestions(ci *provider.Provider) (questions []provider.Question) {
	for _, q := range ci.New.Questions {
		switch {
		case ci.Field(q.For) == nil:
		case q.Name == ci.New.First:
			questions = slices.Insert(questions, 0, q)
		default:
			questions = append(questions, q)
		}
	}
	return questions
}

// named writes a field with its comment above it, unless it has no value.
func (p *page) named(prefix string, q *provider.Question, value string) {
	if value == "" {
		return
	}
	if q.Comment != "" {
		indent, _, _ := strings.Cut(prefix, "-")
		p.comment(indent, q.Comment)
	}
	p.lines(prefix+q.For+": %q\n", value)
}
