package resources

import (
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// question is one thing that the rules need to know.
type question struct {
	Name     string // of the answer, and of the flag that gives it
	Text     string // what is asked, in a few words
	Where    string // where a person finds it; "" if it is theirs to choose
	Required bool
	Default  string // the answer if none is given
	Unasked  bool   // few need it: it is not asked for, and can be given by its flag
	// Read returns an answer as the rules have it. Its error says what to write instead.
	Read func(answer string) (string, error)

	field string // the setting or the field of the CI that it is about; "" if none
}

// answered are answers, by the names of their questions, as Read returned them; one
// that was not given is absent.
type answered map[string]string

// questionsOf returns what is asked for a method, in a sensible order; nil for an
// unknown one. now is what an end is reckoned from.
func questionsOf(method string, now time.Time) []question {
	p := provider.Of(method)
	if p == nil {
		return nil
	}
	questions := []question{{
		Name: "bot", Text: "name of the bot that the jobs become", Required: true,
		Read: func(s string) (string, error) { return rules.CheckField("bot_name", s) },
	}}
	for _, q := range p.New.Questions {
		questions = append(questions, ask(p, &q))
	}
	return append(questions, []question{
		{Name: "audience", Text: "audience: the URL of your Gatepass service, which the job asks its ID token for", Required: true, Read: readAudience, field: "audience"},
		{Name: "logins", Text: "SSH logins that the jobs get, with commas between", Default: "deploy", Read: readLogins},
		{Name: "expires", Text: "day on which the rule shall end, to be looked at again", Default: now.AddDate(1, 0, 0).UTC().Format(time.DateOnly),
			Read: func(s string) (string, error) { return readEnd(s, now) }},
	}...)
}

// ask makes a question of the table's.
func ask(p *provider.Provider, q *provider.Question) question {
	v := valueOf(p, q.For)
	where := q.Where
	if where == "" {
		where = v.Where
	}
	return question{Name: q.Name, Text: q.Text, Where: where, Required: q.Required, Unasked: q.Unasked, field: q.For,
		Read: func(s string) (string, error) { return readValue(q, v, s) }}
}

func valueOf(p *provider.Provider, name string) *provider.Value {
	if f := p.Field(name); f != nil {
		return &f.Value
	}
	return &p.Setting(name).Value
}

// complete fills in defaults and names what is still missing.
func complete(method string, a answered, now time.Time) (missing []string, err error) {
	for _, q := range questionsOf(method, now) {
		if a[q.Name] != "" {
			continue
		}
		if q.Default != "" {
			if a[q.Name], err = q.Read(q.Default); err != nil {
				return nil, err
			}
		} else if q.Required {
			missing = append(missing, q.Name)
		}
	}
	for _, pair := range provider.Of(method).New.OneOf {
		if a[pair[0]] == "" && a[pair[1]] == "" {
			missing = append(missing, pair[0]+" or "+pair[1])
		}
	}
	return missing, nil
}

// needed reports whether the other one of a pair was left out.
func needed(method, name string, a answered) bool {
	return slices.ContainsFunc(provider.Of(method).New.OneOf, func(pair [2]string) bool {
		return pair[1] == name && a[pair[0]] == ""
	})
}
