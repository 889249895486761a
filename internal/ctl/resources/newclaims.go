package resources

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// answersOfClaims reads out of a job's own ID token what it can answer. notes say what it
// could not decide. Nothing is believed of the token: a person reads what comes of it.
func answersOfClaims(method string, u *token.Unverified) (a answered, notes []string, err error) {
	p := provider.Of(method)
	issuer, _ := u.Claims["iss"].(string)
	if err := checkIssuer(p, issuer); err != nil {
		return nil, nil, err
	}
	given := map[string]string{}
	for _, q := range p.New.Questions {
		if p.Field(q.For) == nil {
			given[q.Name] = ofClaims(p, &q, u.Claims)
			continue
		}
		switch values := u.Fields[q.For]; {
		case len(values) == 1:
			given[q.Name] = values[0]
		case len(values) > 1:
			notes = append(notes, fmt.Sprintf("the job has several of %s: %s; give one by --%s", q.For, strings.Join(values, ", "), q.Name))
		}
	}
	audience, _ := u.Claims["aud"].(string)
	given["audience"], _, _ = strings.Cut(audience, provider.BindingMark) // the rule names it without the request
	a = answered{}
	for _, q := range questionsOf(method, time.Time{}) {
		if given[q.Name] == "" {
			continue
		}
		answer, err := readClaim(p, &q, given[q.Name])
		if err != nil {
			notes = append(notes, fmt.Sprintf("--%s is not taken from the token: %s", q.Name, err))
			continue
		}
		a[q.Name] = answer
	}
	return a, notes, nil
}

// checkIssuer refuses an issuer that is another CI's own, or nobody's where others
// cannot run the CI.
func checkIssuer(p *provider.Provider, issuer string) error {
	of := ""
	for _, other := range provider.All() {
		if strings.HasPrefix(issuer, other.New.Hosted) {
			of = other.Method
		}
	}
	if of == p.Method || of == "" && p.New.AnyIssuer {
		return nil
	}
	hint := "give a token of a job of " + p.Name
	if of != "" {
		hint = "write gatepassctl new " + of
	}
	return cli.Failed("the token is not of %s: its issuer is %q", p.Method, issuer).Hint("%s", hint)
}

// ofClaims answers a question about a setting. One that few need is not answered by
// what the CI's own issuer says.
func ofClaims(p *provider.Provider, q *provider.Question, claims map[string]any) string {
	for _, name := range q.Claims {
		if s, _ := claims[name].(string); s != "" && !(q.Unasked && strings.HasPrefix(s, p.New.Hosted)) {
			return s
		}
	}
	return ""
}

// readClaim reads what a job says of itself. Texts are compared letter for letter: what
// a person writes is tidied, and what a claim says is taken as it stands. A star, which
// git has in no name, would let in others.
func readClaim(p *provider.Provider, q *question, given string) (string, error) {
	answer, err := q.Read(given)
	f := p.Field(q.field)
	if err != nil || q.Name != "audience" && (f == nil || f.Form != provider.Text) {
		return answer, err
	}
	answer, err = rules.CheckValue(valueOf(p, q.field), given)
	if err == nil && strings.ContainsAny(answer, "*?") {
		return "", fmt.Errorf("%q would be a pattern", answer)
	}
	return answer, err
}
