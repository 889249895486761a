package scaffold

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// FromClaims reads out of a job's own ID token what it can answer. notes say what it
// could not decide. Nothing is believed of the token: a person reads what comes of it.
func FromClaims(method string, u *token.Unverified) (a Answers, notes []string, err error) {
	given := map[string]string{}
	text := func(name string) string {
		s, _ := u.Claims[name].(string)
		return s
	}
	issuer := text("iss")
	if ofBitbucket := strings.HasPrefix(issuer, bitbucketPrefix); ofBitbucket != (method == "bitbucket") {
		return nil, nil, fmt.Errorf("the token is not of %s: its issuer is %q", method, issuer)
	}
	for field, values := range u.Fields {
		if len(values) == 1 {
			given[answerOf(field)] = values[0]
		} else {
			notes = append(notes, fmt.Sprintf("the job has several of %s: %s; give one by --%s", field, strings.Join(values, ", "), answerOf(field)))
		}
	}
	given["audience"] = text("aud")
	const circleCI = "https://oidc.circleci.com/org/"
	if method == "bitbucket" || !strings.HasPrefix(issuer, circleCI) {
		given["issuer"] = issuer
	}
	if method == "circleci" {
		if given["organization"] = text("oidc.circleci.com/org-id"); given["organization"] == "" {
			given["organization"] = issuer
		}
	}
	a = Answers{}
	for _, q := range Questions(method, time.Time{}) {
		if given[q.Name] == "" {
			continue
		}
		answer, err := q.Read(given[q.Name])
		if field := comparedWhole(q.Name); field != "" && err == nil {
			answer, err = rules.CheckField(field, given[q.Name])
			if err == nil && strings.ContainsAny(answer, "*?") { // which git has in no name, and would let in others
				err = fmt.Errorf("%q would be a pattern", answer)
			}
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("--%s is not taken from the token: %s", q.Name, err))
			continue
		}
		a[q.Name] = answer
	}
	return a, notes, nil
}

// comparedWhole is the field of an answer that a claim must equal letter for letter; ""
// for others. What a person writes is tidied; what the job says is taken as it stands.
func comparedWhole(answer string) string {
	return map[string]string{"audience": "audience", "branch": "branch_name", "origin": "vcs_origin", "ref": "vcs_ref"}[answer]
}

// answerOf is the answer that a field of rules goes by.
func answerOf(field string) string {
	return map[string]string{
		"workspace_uuid": "workspace", "repository_uuid": "repository",
		"deployment_environment_uuid": "environment", "branch_name": "branch",
		"context_id": "context", "project_id": "project", "pipeline_definition_id": "definition",
		"vcs_origin": "origin", "vcs_ref": "ref",
	}[field]
}
