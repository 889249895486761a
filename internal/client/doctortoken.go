package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// idToken looks at the token that a join would send.
func (d Doctor) idToken(ctx context.Context, r *Diagnosis) {
	finder := d.Source
	finder.Audience = d.audienceToMint()
	token, err := finder.Find(ctx)
	if err != nil {
		r.add(failed("id token", err))
		for _, name := range []string{"age", "audience"} {
			r.add(Check{Name: name, Status: CheckSkipped, Text: "there is no ID token"})
		}
		return
	}
	r.add(Check{Name: "id token", Status: CheckOK, Text: "from " + words.Clean(token.Source)})
	r.Claims = token.Claims()
	r.add(d.age(r.Claims, token.Method))
	r.add(d.audience(r.Claims, token.Method))
	for _, c := range d.provider(r.Claims, token.Method) {
		r.add(c)
	}
}

// audienceToMint keeps the audience where an ID token is minted for it. Elsewhere a
// wrong one is found by a check of its own, after the claims were shown.
func (d Doctor) audienceToMint() string {
	if d.Source.Mints() {
		return d.Source.Audience
	}
	return ""
}

// age says how old the token is and how long it holds.
func (d Doctor) age(claims map[string]any, method string) Check {
	c := Check{Name: "age", Status: CheckOK}
	now := d.Now()
	issued, okIssued := timeOf(claims["iat"])
	expires, okExpires := timeOf(claims["exp"])
	if !okIssued || !okExpires {
		return c.fail("the ID token does not say when it was issued and when it ends", "use the token that the CI system made for this job")
	}
	age, left := now.Sub(issued).Round(time.Second), expires.Sub(now).Round(time.Second)
	c.Text = fmt.Sprintf("issued %s ago, ends in %s", max(age, 0), left)
	renew := "join early in the step, or run it again: an ID token is minted as the step starts"
	if method == api.MethodCircleCI {
		renew = "give --audience, and a fresh ID token is minted for each join"
	}
	switch {
	case left <= 0:
		return c.fail(fmt.Sprintf("it ended %s ago", -left), renew)
	case age < -clockLimit:
		return c.fail(fmt.Sprintf("it will be issued in %s", -age), "this machine's clock is behind the CI system's: set it")
	case age > time.Hour:
		return c.warn(c.Text, "a token rule's max_token_age is 1h unless it says otherwise; "+renew)
	}
	return c
}

// audience compares the token's with the one that was asked for.
func (d Doctor) audience(claims map[string]any, method string) Check {
	c := Check{Name: "audience", Status: CheckOK}
	have := source.Audiences(claims["aud"])
	c.Text = words.Clean(strings.Join(have, ", "))
	wanted := d.Source.Audience
	org, _ := claims["oidc.circleci.com/org-id"].(string)
	isDefault := len(have) == 1 && (strings.HasPrefix(have[0], "ari:cloud:bitbucket::") || method == api.MethodCircleCI && strings.EqualFold(have[0], org))
	switch {
	case len(have) == 0:
		return c.fail("the ID token has no audience", source.AudienceHints(method, wanted)...)
	case wanted != "" && !slices.Contains(have, wanted):
		return c.fail(c.Text+", and not "+words.Clean(wanted), source.AudienceHints(method, wanted)...)
	case isDefault:
		return c.warn(c.Text+", the default one, which every other service that trusts this CI system accepts too", source.AudienceHints(method, "")...)
	}
	return c
}

// provider looks at claims by which a service refuses jobs unless its rules allow them.
func (d Doctor) provider(claims map[string]any, method string) []Check {
	var all []Check
	warn := func(name, text, hint string) {
		all = append(all, Check{Name: name, Status: CheckWarning, Text: text, Hints: []string{hint}})
	}
	if rerun, _ := claims["oidc.circleci.com/ssh-rerun"].(bool); rerun {
		warn("ssh rerun", "this job was re-run with SSH, and people may be logged in to it", "run it without SSH, or set allow_ssh_rerun in the token rule")
	}
	if ref, _ := claims["oidc.circleci.com/vcs-ref"].(string); strings.HasPrefix(ref, "refs/heads/pull/") || strings.HasPrefix(ref, "refs/pull/") {
		warn("fork", "this job runs for a pull request from a fork: "+words.Clean(ref), "only a rule with vcs_origin matches it, or one with allow_forks")
	}
	if _, ok := claims["oidc.circleci.com/project-id"].(string); method == api.MethodCircleCI && !ok {
		warn("project", "the ID token names no project, so it is no job's", "use the token that CircleCI made for this job")
	}
	if _, ok := claims["deploymentEnvironmentUuid"].(string); method == api.MethodBitbucket && !ok {
		all = append(all, Check{Name: "deployment", Status: CheckOK, Text: "none: a rule with deployment_environment_uuid needs `deployment: NAME` on the step"})
	}
	return all
}

// timeOf reads a NumericDate (RFC 7519 §2).
func timeOf(v any) (time.Time, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
