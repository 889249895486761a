package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	acme    = "{922e118c-f34f-4226-a897-0e0afbec553d}" // a workspace
	shop    = "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}" // a repository
	blog    = "{2de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}" // another one
	staging = "{3de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}" // an environment

	deployers = "00000000-0000-0000-0000-000000000002" // a context
	readers   = "00000000-0000-0000-0000-000000000022" // another one
	project   = "00000000-0000-0000-0000-000000000003"
	pipeline  = "00000000-0000-0000-0000-000000000004"
)

// withRules returns a token rule with these lists in place of those of document.
func withRules(t testing.TB, document, lists string) *rules.TokenRule {
	t.Helper()
	head, _, found := strings.Cut(document, "    allow:\n")
	if !found {
		t.Fatal("no allow rules in the document")
	}
	return parseOne[*rules.TokenRule](t, head+lists)
}

func claims(pairs ...string) rules.Claims {
	c := rules.Claims{}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = append(c[pairs[i]], pairs[i+1])
	}
	return c
}

type decision struct {
	name   string
	claims rules.Claims
	want   rules.Outcome
	rule   int
	// unmatched are the fields of UnmatchedFields, in one string.
	unmatched string
}

func checkDecisions(t *testing.T, token *rules.TokenRule, tests []decision) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := token.Decide(tt.claims)
			if d.Outcome != tt.want || d.Rule != tt.rule {
				t.Errorf("got %s by rule %d, want %s by rule %d", d.Outcome, d.Rule, tt.want, tt.rule)
			}
			if got := strings.Join(d.UnmatchedFields(), " "); got != tt.unmatched {
				t.Errorf("unmatched fields %q, want %q", got, tt.unmatched)
			}
		})
	}
}

func TestBitbucketPolicy(t *testing.T) {
	token := withRules(t, bitbucketYAML, `
    allow:
      - {workspace_uuid: `+"'"+acme+"'"+`, repository_uuid: `+"'"+shop+"'"+`, branch_name: main}
      - {repository_uuid: `+"'"+blog+"'"+`, deployment_environment_uuid: `+"'"+staging+"'"+`}
    deny:
      - {branch_name: legacy}
      - {workspace_uuid: `+"'"+acme+"'"+`, branch_name: frozen}
`)
	ws, repo, env, branch := "workspace_uuid", "repository_uuid", "deployment_environment_uuid", "branch_name"
	checkDecisions(t, token, []decision{
		{"shop on main", claims(ws, acme, repo, shop, branch, "main"), rules.Allowed, 0, ""},
		{"shop on main, with claims that no rule asks for", claims(ws, acme, repo, shop, branch, "main", env, staging), rules.Allowed, 0, ""},
		{"blog to staging from any branch", claims(ws, acme, repo, blog, env, staging, branch, "feature/x"), rules.Allowed, 1, ""},
		{"blog to staging from a tag, which has no branch", claims(ws, acme, repo, blog, env, staging), rules.Allowed, 1, ""},
		{"ids in capitals", claims(ws, strings.ToUpper(acme), repo, strings.ToUpper(shop), branch, "main"), rules.Allowed, 0, ""},
		{"ids without braces", claims(ws, strings.Trim(acme, "{}"), repo, strings.Trim(shop, "{}"), branch, "main"), rules.Allowed, 0, ""},

		{"another branch", claims(ws, acme, repo, shop, branch, "dev"), rules.NoMatch, -1, "branch_name deployment_environment_uuid"},
		{"branch in capitals", claims(ws, acme, repo, shop, branch, "Main"), rules.NoMatch, -1, "branch_name deployment_environment_uuid"},
		{"branch that begins with main", claims(ws, acme, repo, shop, branch, "main2"), rules.NoMatch, -1, "branch_name deployment_environment_uuid"},
		{"branch with a space", claims(ws, acme, repo, shop, branch, "main "), rules.NoMatch, -1, "branch_name deployment_environment_uuid"},
		{"no branch", claims(ws, acme, repo, shop), rules.NoMatch, -1, "branch_name deployment_environment_uuid"},
		{"empty branch", claims(ws, acme, repo, shop, branch, ""), rules.NoMatch, -1, "branch_name deployment_environment_uuid"},
		{"two branches", claims(ws, acme, repo, shop, branch, "dev", branch, "main"), rules.NoMatch, -1, "branch_name deployment_environment_uuid"},
		{"another workspace with shop's id", claims(ws, blog, repo, shop, branch, "main"), rules.NoMatch, -1, "deployment_environment_uuid workspace_uuid"},
		{"blog on main, allowed to nobody", claims(ws, acme, repo, blog, branch, "main"), rules.NoMatch, -1, "deployment_environment_uuid"},
		{"parts of both rules", claims(ws, blog, repo, shop, env, staging, branch, "main"), rules.NoMatch, -1, "workspace_uuid"},
		{"each claim is accepted, but by no one rule", claims(ws, acme, repo, shop, env, staging, branch, "dev"), rules.NoMatch, -1, "branch_name"},
		{"nothing", claims(), rules.NoMatch, -1, "branch_name deployment_environment_uuid repository_uuid workspace_uuid"},
		{"nil", nil, rules.NoMatch, -1, "branch_name deployment_environment_uuid repository_uuid workspace_uuid"},

		{"denied branch of an allowed environment", claims(ws, acme, repo, blog, env, staging, branch, "legacy"), rules.Denied, 0, ""},
		{"denied branch that nothing allows", claims(branch, "legacy"), rules.Denied, 0, ""},
		{"denied by two fields", claims(ws, strings.ToUpper(acme), repo, blog, env, staging, branch, "frozen"), rules.Denied, 1, ""},
		{"one of the two fields only", claims(ws, blog, repo, blog, env, staging, branch, "frozen"), rules.Allowed, 1, ""},
		{"denied branch among several", claims(repo, blog, env, staging, branch, "x", branch, "legacy"), rules.Denied, 0, ""},
	})
}

func TestCircleCIPolicy(t *testing.T) {
	token := withRules(t, circleYAML, `
    allow:
      - {context_id: `+deployers+`, project_id: `+project+`, vcs_origin: github.com/acme/shop, vcs_ref: refs/heads/main}
      - {project_id: `+project+`, pipeline_definition_id: `+pipeline+`}
    deny:
      - {context_id: `+readers+`}
`)
	ctx, proj, def, origin, ref := "context_id", "project_id", "pipeline_definition_id", "vcs_origin", "vcs_ref"
	checkDecisions(t, token, []decision{
		{"the context is the job's only one", claims(ctx, deployers, proj, project, origin, "github.com/acme/shop", ref, "refs/heads/main"), rules.Allowed, 0, ""},
		{"the context is one of several", claims(ctx, pipeline, ctx, deployers, proj, project, origin, "github.com/acme/shop", ref, "refs/heads/main"), rules.Allowed, 0, ""},
		{"the pipeline, on any branch", claims(proj, project, def, pipeline, ref, "refs/heads/dev"), rules.Allowed, 1, ""},
		{"the pipeline, by a webhook without vcs claims", claims(proj, project, def, pipeline), rules.Allowed, 1, ""},

		{"no context", claims(proj, project, origin, "github.com/acme/shop", ref, "refs/heads/main"), rules.NoMatch, -1, "context_id pipeline_definition_id"},
		{"another context", claims(ctx, pipeline, proj, project, origin, "github.com/acme/shop", ref, "refs/heads/main"), rules.NoMatch, -1, "context_id pipeline_definition_id"},
		{"another project", claims(ctx, deployers, proj, pipeline, def, pipeline, origin, "github.com/acme/shop", ref, "refs/heads/main"), rules.NoMatch, -1, "project_id"},
		{"a fork's origin", claims(ctx, deployers, proj, project, origin, "github.com/mallory/shop", ref, "refs/heads/main"), rules.NoMatch, -1, "pipeline_definition_id vcs_origin"},
		{"origin in capitals", claims(ctx, deployers, proj, project, origin, "github.com/Acme/shop", ref, "refs/heads/main"), rules.NoMatch, -1, "pipeline_definition_id vcs_origin"},
		{"tag of the branch's name", claims(ctx, deployers, proj, project, origin, "github.com/acme/shop", ref, "refs/tags/main"), rules.NoMatch, -1, "pipeline_definition_id vcs_ref"},

		{"denied context among allowed ones", claims(ctx, deployers, ctx, readers, proj, project, def, pipeline), rules.Denied, 0, ""},
	})
}

func TestForksNeedARuleThatNamesTheOrigin(t *testing.T) {
	lists := `
    allow:
      - {project_id: ` + project + `}
      - {project_id: ` + pipeline + `, vcs_origin: github.com/friend/shop}
`
	proj, origin, ref := "project_id", "vcs_origin", "vcs_ref"
	checkDecisions(t, withRules(t, circleYAML, lists), []decision{
		{"a branch", claims(proj, project, ref, "refs/heads/main"), rules.Allowed, 0, ""},
		{"a branch with pull in its name", claims(proj, project, ref, "refs/heads/pulley/1"), rules.Allowed, 0, ""},
		{"a tag", claims(proj, project, ref, "refs/tags/pull/1"), rules.Allowed, 0, ""},
		{"a fork, by a rule without origin", claims(proj, project, origin, "github.com/mallory/shop", ref, "refs/heads/pull/7"), rules.NoMatch, -1, "vcs_origin"},
		{"a fork, in the other spelling", claims(proj, project, origin, "github.com/mallory/shop", ref, "refs/pull/7/head"), rules.NoMatch, -1, "vcs_origin"},
		{"a fork, without an origin", claims(proj, project, ref, "refs/pull/7/head"), rules.NoMatch, -1, "vcs_origin"},
		{"a fork, by a rule with its origin", claims(proj, pipeline, origin, "github.com/friend/shop", ref, "refs/heads/pull/7"), rules.Allowed, 1, ""},
		{"another fork", claims(proj, pipeline, origin, "github.com/mallory/shop", ref, "refs/heads/pull/7"), rules.NoMatch, -1, "vcs_origin"},
	})
	allowed := withRules(t, edit(t, circleYAML, "    allow:\n", "    allow_forks: true\n    allow:\n"), lists)
	checkDecisions(t, allowed, []decision{
		{"a fork, where forks are allowed", claims(proj, project, origin, "github.com/mallory/shop", ref, "refs/heads/pull/7"), rules.Allowed, 0, ""},
	})
	denied := withRules(t, circleYAML, lists+`
    deny:
      - {vcs_ref: refs/heads/pull/7}
`)
	checkDecisions(t, denied, []decision{
		{"a fork, by a deny rule without origin", claims(proj, pipeline, origin, "github.com/friend/shop", ref, "refs/heads/pull/7"), rules.Denied, 0, ""},
	})
}

// A pattern that every origin matches names none of them.
func TestAGlobOfAnyOriginLetsNoForkIn(t *testing.T) {
	for _, c := range []struct {
		origin string
		want   rules.Outcome
		field  string
	}{
		{"*", rules.NoMatch, "vcs_origin"},
		{"?*", rules.NoMatch, "vcs_origin"},
		{"github.com/*", rules.Allowed, ""},
	} {
		token := withRules(t, edit(t, circleYAML, "    allow:\n", "    enable_glob_matching: true\n    allow:\n"), `
    allow:
      - {project_id: `+project+`, vcs_origin: "`+c.origin+`"}
`)
		rule := -1
		if c.want == rules.Allowed {
			rule = 0
		}
		checkDecisions(t, token, []decision{
			{"a fork, origin " + c.origin, claims("project_id", project, "vcs_origin", "github.com/mallory/shop", "vcs_ref", "refs/heads/pull/7"), c.want, rule, c.field},
			{"a branch, origin " + c.origin, claims("project_id", project, "vcs_origin", "github.com/acme/shop", "vcs_ref", "refs/heads/main"), rules.Allowed, 0, ""},
		})
	}
}

func TestGlobsWorkWhereTheyAreEnabled(t *testing.T) {
	lists := `
    allow:
      - {project_id: ` + project + `, vcs_origin: "github.com/acme/*", vcs_ref: "refs/heads/release/?.*"}
    deny:
      - {vcs_ref: "*-frozen"}
`
	proj, origin, ref := "project_id", "vcs_origin", "vcs_ref"
	job := func(repository, name string) rules.Claims {
		return claims(proj, project, origin, repository, ref, name)
	}
	checkDecisions(t, withRules(t, edit(t, circleYAML, "    allow:\n", "    enable_glob_matching: true\n    allow:\n"), lists), []decision{
		{"a release", job("github.com/acme/shop", "refs/heads/release/1.2"), rules.Allowed, 0, ""},
		{"a star matches slashes", job("github.com/acme/a/b", "refs/heads/release/1./"), rules.Allowed, 0, ""},
		{"a question mark is one character", job("github.com/acme/shop", "refs/heads/release/10.2"), rules.NoMatch, -1, "vcs_ref"},
		{"a dot is a dot", job("github.com/acme/shop", "refs/heads/release/1x2"), rules.NoMatch, -1, "vcs_ref"},
		{"the whole value is matched", job("evil.com/github.com/acme/shop", "refs/heads/release/1.2"), rules.NoMatch, -1, "vcs_origin"},
		{"an empty ref", job("github.com/acme/shop", ""), rules.NoMatch, -1, "vcs_ref"},
		{"a denied glob", job("github.com/acme/shop", "refs/heads/release/1.2-frozen"), rules.Denied, 0, ""},
	})
	wide := strings.NewReplacer("github.com/acme/*", "*", "*-frozen", "?*-frozen").Replace(lists)
	checkDecisions(t, withRules(t, edit(t, circleYAML, "    allow:\n", "    enable_glob_matching: true\n    allow:\n"), wide), []decision{
		{"any origin", job("x", "refs/heads/release/1.2"), rules.Allowed, 0, ""},
		{"a star needs a claim that is not empty", job("", "refs/heads/release/1.2"), rules.NoMatch, -1, "vcs_origin"},
		{"a star needs a claim", claims(proj, project, ref, "refs/heads/release/1.2"), rules.NoMatch, -1, "vcs_origin"},
	})
	checkDecisions(t, withRules(t, circleYAML, lists), []decision{
		{"not enabled, a release", job("github.com/acme/shop", "refs/heads/release/1.2"), rules.NoMatch, -1, "vcs_origin vcs_ref"},
		{"not enabled, the star itself", job("github.com/acme/*", "refs/heads/release/?.*"), rules.Allowed, 0, ""},
		{"not enabled, the denied glob", job("github.com/acme/shop", "refs/heads/x-frozen"), rules.NoMatch, -1, "vcs_origin vcs_ref"},
	})
}

func TestMismatchesAreExplained(t *testing.T) {
	token := withRules(t, circleYAML, `
    allow:
      - {project_id: `+project+`, vcs_ref: refs/heads/main}
      - {context_id: `+deployers+`}
`)
	got := token.Decide(claims("project_id", project, "vcs_ref", "refs/pull/7/head", "vcs_origin", "github.com/mallory/shop", "context_id", readers, "context_id", pipeline))
	barred := rules.FieldMismatch{
		Field: "vcs_origin",
		Want:  "a rule that names vcs_origin: vcs_ref is a pull request's, which may come from a fork",
		Got:   []string{"github.com/mallory/shop"},
	}
	want := rules.Decision{Outcome: rules.NoMatch, Rule: -1, Mismatches: []rules.RuleMismatch{
		{Rule: 0, Fields: []rules.FieldMismatch{
			{Field: "vcs_ref", Want: "refs/heads/main", Got: []string{"refs/pull/7/head"}}, barred,
		}},
		{Rule: 1, Fields: []rules.FieldMismatch{
			{Field: "context_id", Want: deployers, Got: []string{readers, pipeline}}, barred,
		}},
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(rules.Decision{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// These cannot be parsed. Should one come about all the same, it lets nobody in.
func TestWhatIsNoRuleMatchesNothing(t *testing.T) {
	all := claims("workspace_uuid", acme, "repository_uuid", shop, "branch_name", "main", "project_id", project)
	tests := map[string]*rules.TokenRule{
		"zero token":            {},
		"unknown method":        {JoinMethod: "jenkins", Sections: section("jenkins", "repository_uuid", shop)},
		"section of another":    {JoinMethod: "circleci", Sections: section("bitbucket", "repository_uuid", shop)},
		"no section":            {JoinMethod: "bitbucket"},
		"no rules, Bitbucket":   {JoinMethod: "bitbucket", Sections: rules.Sections{"bitbucket": {}}},
		"no rules, CircleCI":    {JoinMethod: "circleci", Sections: rules.Sections{"circleci": {Flags: []string{"allow_forks"}}}},
		"empty rule, Bitbucket": {JoinMethod: "bitbucket", Sections: section("bitbucket")},
		"empty rule, CircleCI":  {JoinMethod: "circleci", Sections: section("circleci")},
		"empty deny rule":       {JoinMethod: "circleci", Sections: rules.Sections{"circleci": {Deny: []provider.Values{{}}}}},
		"field there is not":    {JoinMethod: "circleci", Sections: section("circleci", "project_id", project, "colour", "red")},
		"field of another CI":   {JoinMethod: "circleci", Sections: section("circleci", "project_id", project, "branch_name", "main")},
		"empty field":           {JoinMethod: "circleci", Sections: section("circleci", "project_id", project, "vcs_ref", "")},
		"field twice":           {JoinMethod: "circleci", Sections: section("circleci", "project_id", project, "project_id", pipeline)},
	}
	for name, token := range tests {
		if d := token.Decide(all); d.Outcome != rules.NoMatch || d.Rule != -1 {
			t.Errorf("%s: %s by rule %d, want no match", name, d.Outcome, d.Rule)
		}
	}
	if got := (rules.Decision{}).Outcome; got != rules.NoMatch {
		t.Errorf("the zero decision is %s", got)
	}
}

// Nor does a deny rule deny less for what it should not have.
func TestADenyRuleThatCannotBeParsedStillDenies(t *testing.T) {
	job := claims("project_id", project, "vcs_ref", "refs/heads/main")
	for name, rule := range map[string]provider.Values{
		"field there is not":  values("colour", "red", "project_id", project),
		"field of another CI": values("branch_name", "dev", "project_id", project),
		"empty field":         values("vcs_ref", "", "project_id", project),
	} {
		token := &rules.TokenRule{JoinMethod: "circleci", Sections: section("circleci", "project_id", project)}
		s := *token.Section()
		s.Deny = []provider.Values{rule}
		token.Sections["circleci"] = s
		if d := token.Decide(job); d.Outcome != rules.Denied {
			t.Errorf("%s: %s, want denied", name, d.Outcome)
		}
	}
}

// section has one allow rule.
func section(method string, pairs ...string) rules.Sections {
	return rules.Sections{method: {Allow: []provider.Values{values(pairs...)}}}
}

func TestTokenExpires(t *testing.T) {
	token := parseOne[*rules.TokenRule](t, bitbucketYAML)
	end := token.Metadata.Expires
	for at, want := range map[time.Time]bool{end.Add(-time.Nanosecond): false, end: true, end.Add(time.Hour): true} {
		if got := token.Expired(at); got != want {
			t.Errorf("expired at %s: %t, want %t", at, got, want)
		}
	}
	token = parseOne[*rules.TokenRule](t, edit(t, bitbucketYAML, `, expires: "2100-01-01T00:00:00Z"`, ""))
	if token.Expired(end.AddDate(5000, 0, 0)) {
		t.Error("a token without expires has expired")
	}
}

func TestFieldsAreThoseOfTheMethod(t *testing.T) {
	for document, want := range map[string]string{
		bitbucketYAML: "workspace_uuid repository_uuid deployment_environment_uuid branch_name",
		circleYAML:    "context_id project_id pipeline_definition_id vcs_origin vcs_ref",
	} {
		token := parseOne[*rules.TokenRule](t, document)
		if got := strings.Join(token.Fields(), " "); got != want {
			t.Errorf("fields of %s: %s, want %s", token.JoinMethod, got, want)
		}
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	for o, want := range map[rules.Outcome]string{rules.NoMatch: "no match", rules.Allowed: "allowed", rules.Denied: "denied", 7: "outcome 7"} {
		if o.String() != want {
			t.Errorf("%d is %q, want %q", int(o), o, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	rule := "      - {context_id: " + readers + ", project_id: " + project + ", vcs_origin: github.com/acme/shop, vcs_ref: refs/heads/main}\n"
	token := withRules(b, circleYAML, "    allow:\n"+strings.Repeat(rule, 9)+strings.Replace(rule, readers, deployers, 1))
	job := claims("context_id", deployers, "project_id", project, "vcs_origin", "github.com/acme/shop", "vcs_ref", "refs/heads/main")
	b.ReportAllocs()
	for b.Loop() {
		if d := token.Decide(job); d.Rule != 9 {
			b.Fatalf("rule %d", d.Rule)
		}
	}
}
