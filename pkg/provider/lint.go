package provider

import (
	"fmt"
	"net/url"
	"strings"
)

// Lint finds what is likely not meant in a valid section, by paths below it.
func (p *Provider) Lint(s *Section) []Advice {
	var all []Advice
	add := func(at string, found []Advice) {
		for _, a := range found {
			a.Field = strings.Trim(at+"."+a.Field, ".")
			all = append(all, a)
		}
	}
	if p.LintSection != nil {
		add("", p.LintSection(s))
	}
	for i, rule := range s.Allow {
		at := fmt.Sprintf("allow[%d]", i)
		if p.LintRule != nil {
			add(at, p.LintRule(s, rule))
		}
		add(at, p.lintPatterns(s, rule))
	}
	for i, rule := range s.Deny {
		add(fmt.Sprintf("deny[%d]", i), p.lintPatterns(s, rule))
	}
	return all
}

// lintPatterns looks at values that may be globs.
func (p *Provider) lintPatterns(s *Section, rule Values) (all []Advice) {
	for _, f := range p.Fields {
		value := rule.Get(f.Name)
		switch {
		case !f.Glob || !strings.ContainsAny(value, "*?"):
		case !s.Is(GlobSetting):
			all = append(all, advice(f.Name, "%q has * or ?, which are literal unless enable_glob_matching is true; no branch or repository has such a name", value))
		case MatchesAll(value):
			all = append(all, advice(f.Name, "%q matches everything; name what is meant, or leave the field out", value))
		}
	}
	return all
}

// MatchesAll reports whether a glob leaves nothing, or nothing of note, out.
func MatchesAll(glob string) bool {
	bare := strings.TrimPrefix(strings.TrimPrefix(glob, "refs/"), "heads/")
	return strings.Contains(bare, "*") && strings.Trim(bare, "*?/") == ""
}

func advice(field, format string, args ...any) Advice {
	return Advice{Field: field, Message: fmt.Sprintf(format, args...)}
}

// sharedAudience warns of an audience that a CI gives unless it is asked for another.
func sharedAudience(whose string) Advice {
	return advice("audience", "is the %s's default, which every service that its pipelines get tokens for shares, so that one of them can use a job's token here; have the job ask for the URL of this service as the audience, and write that", whose)
}

func host(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return issuer
	}
	return u.Host
}
