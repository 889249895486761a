package provider

import "strings"

const (
	circleClaim  = "oidc.circleci.com/" // begins the names of CircleCI's own claims
	circleIssuer = "https://oidc.circleci.com"
)

// CircleCI, cloud and server. Its tokens of version 1 and 2 differ in sub alone, of
// which nothing is read. The same issuer signs tokens that are no job's, such as those
// of audit log streaming; only jobs have a project.
func init() {
	add(&Provider{
		Method: "circleci",
		Name:   "CircleCI",
		Settings: []Setting{
			{Value: circleUUID("organization_id", "the organization", "Organization Settings > Overview", "UUID of the organization, not its name; Organization Settings > Overview"),
				Missing: "write the organization's UUID, which is found in CircleCI under Organization Settings > Overview"},
			{Value: Value{Name: "audience", Form: Audience, Meaning: "the aud that ID tokens must have: better the URL of your service than the organization's id, the default, which others share"},
				Default: "`organization_id`"},
			{Value: Value{Name: "issuer", Form: Issuer, Meaning: "the iss of the ID tokens, of a CircleCI server only"},
				Default: "`" + circleIssuer + "/org/<organization_id>`"},
			{Value: Value{Name: GlobSetting, Form: Flag, Meaning: "* and ? in vcs_origin and vcs_ref are patterns"}},
			{Value: Value{Name: "allow_ssh_rerun", Form: Flag, Meaning: "let in jobs that somebody re-ran to log in to"}},
			{Value: Value{Name: "allow_forks", Form: Flag, Meaning: "let rules without vcs_origin match pull requests of forks"}},
		},
		Fields: []Field{
			{Claim: circleClaim + "context-ids", Many: true, Value: circleUUID("context_id", "the context", "Organization Settings > Contexts, on the context's own page",
				"UUID of a context of the job, not its name; Organization Settings > Contexts, on the context's page")},
			{Claim: circleClaim + "project-id", Value: circleUUID("project_id", "the project", "Project Settings > Overview",
				"UUID of the project, not its name; Project Settings > Overview")},
			{Claim: circleClaim + "pipeline-definition-id", Value: circleUUID("pipeline_definition_id", "the pipeline definition", "Project Settings > Project Setup",
				"UUID of the pipeline definition; Project Settings > Project Setup")},
			{Claim: circleClaim + "vcs-origin", Glob: true, Value: Value{Name: "vcs_origin",
				Meaning: "repository that the code comes from, such as github.com/acme/shop: it tells a fork from its original"}},
			{Claim: circleClaim + "vcs-ref", Glob: true, Value: Value{Name: "vcs_ref", Meaning: "branch or tag, such as refs/heads/main"}},
		},
		NeedsOneOf: []string{"project_id", "context_id"},
		NeedsWhy:   "every job of the organization would match",
		Issuer: func(s *Section) string {
			if issuer := s.Get("issuer"); issuer != "" {
				return issuer
			}
			return circleIssuer + "/org/" + s.Get("organization_id")
		},
		Audience: func(s *Section) string {
			if audience := s.Get("audience"); audience != "" {
				return audience
			}
			return s.Get("organization_id")
		},
		Mints:    true,
		Required: []string{circleClaim + "project-id"},
		Others:   []string{circleClaim + "job-id", circleClaim + "org-id", circleClaim + "pipeline-id", circleClaim + "ssh-rerun", circleClaim + "workflow-id"},
		Check:    checkCircle,
		Usual: func(s *Section) Claims {
			return Claims{circleClaim + "org-id": s.Get("organization_id"), circleClaim + "project-id": nobodyUUID}
		},
		// A fork's job has the project and the organization of the repository that it was
		// forked from; only its origin tells them apart.
		Guard: &Guard{
			Field:    "vcs_origin",
			Jobs:     "a pull request's job",
			Why:      "a rule that names vcs_origin: vcs_ref is a pull request's, which may come from a fork",
			Suspects: func(job map[string][]string) bool { return anyPullRequest(job["vcs_ref"]) },
			Unless:   "allow_forks",
		},
		LintSection: lintCircle,
		LintRule:    lintCircleRule,
		Doctor: Doctor{
			Renew:         "give --audience, and a fresh ID token is minted for each join",
			IssuerSetting: "organization_id",
			Hints: map[string]string{
				"ssh_rerun_refused": "run the job again without SSH, or set allow_ssh_rerun in the token rule if people in the job may have these credentials",
			},
			SharedAudience: func(audience string, c Claims) bool {
				org, _ := c[circleClaim+"org-id"].(string)
				return strings.EqualFold(audience, org)
			},
			Look: lookCircle,
		},
		New: newCircle(),
	})
}

func circleUUID(name, of, page, meaning string) Value {
	return Value{Name: name, Form: UUID, Of: of, Where: "in CircleCI under " + page, Meaning: meaning}
}

// anyPullRequest reports whether one of the refs is a pull request's.
func anyPullRequest(refs []string) bool {
	for _, ref := range refs {
		if strings.HasPrefix(ref, "refs/heads/pull/") || strings.HasPrefix(ref, "refs/pull/") {
			return true
		}
	}
	return false
}

func checkCircle(c Claims, s *Section) *Refusal {
	// Who re-ran a job to log in to it can read its token and use it for anything.
	if rerun, ok := c[circleClaim+"ssh-rerun"]; ok && rerun != false && !s.Is("allow_ssh_rerun") {
		return &Refusal{"ssh_rerun_refused", "this job was re-run with SSH, so that a person can use its ID token; " +
			"run it again without SSH, or ask an administrator to set allow_ssh_rerun in the token rule"}
	}
	// One issuer may serve several organizations, as a CircleCI server does; there the
	// claim is required.
	const org = circleClaim + "org-id"
	if _, ok := c[org]; !ok && s.Get("issuer") == "" {
		return nil
	}
	id, refusal := c.Text(org)
	if refusal != nil {
		return refusal
	}
	if !SameUUID(id, s.Get("organization_id")) {
		return &Refusal{"id_token_wrong_issuer", "the ID token was minted for a job of another organization than its token rule names; " +
			"check that the job runs in the right organization, and that it joins by the right token rule"}
	}
	return nil
}

func lintCircle(s *Section) (all []Advice) {
	if audience := s.Get("audience"); audience == "" || strings.EqualFold(audience, s.Get("organization_id")) {
		all = append(all, sharedAudience("organization"))
	}
	if issuer := s.Get("issuer"); issuer != "" && issuer != circleIssuer && !strings.HasPrefix(issuer, circleIssuer+"/") {
		all = append(all, advice("issuer", "is not on CircleCI's own host: whoever runs %s can let in any job; leave it out unless that is your CircleCI server", host(issuer)))
	}
	return all
}

func lintCircleRule(s *Section, rule Values) (all []Advice) {
	origin := rule.Get("vcs_origin")
	if origin == "" {
		return []Advice{advice("", "does not name vcs_origin, the repository that the code comes from, which tells a fork from its original; add it, such as github.com/acme/shop")}
	}
	// A glob lets others' repositories in unless HOST/OWNER is literal.
	first := strings.IndexAny(origin, "*?")
	if s.Is(GlobSetting) && first >= 0 && !MatchesAll(origin) && strings.Count(origin[:first], "/") < 2 {
		all = append(all, advice("vcs_origin", "%q matches repositories of other owners, forks included; write host and owner without * and ?, such as github.com/acme/*", origin))
	}
	return all
}

func lookCircle(c Claims) (all []Notice) {
	if rerun, _ := c[circleClaim+"ssh-rerun"].(bool); rerun {
		all = append(all, Notice{Name: "ssh rerun", Text: "this job was re-run with SSH, and people may be logged in to it", Hint: "run it without SSH, or set allow_ssh_rerun in the token rule"})
	}
	if ref, _ := c[circleClaim+"vcs-ref"].(string); anyPullRequest([]string{ref}) {
		all = append(all, Notice{Name: "fork", Text: "this job runs for a pull request from a fork: " + ref, Hint: "only a rule with vcs_origin matches it, or one with allow_forks"})
	}
	if _, ok := c[circleClaim+"project-id"].(string); !ok {
		all = append(all, Notice{Name: "project", Text: "the ID token names no project, so it is no job's", Hint: "use the token that CircleCI made for this job"})
	}
	return all
}

func newCircle() New {
	has := func(parts ...string) func(string) bool {
		return func(address string) bool {
			for _, part := range parts {
				if strings.Contains(address, part) {
					return true
				}
			}
			return false
		}
	}
	return New{
		Head: `In .circleci/config.yml, the job asks for an ID token with this audience, which
the client does by itself:

  gatepass join --server {audience} --audience {audience} --token {bot} --destination ./credentials`,
		Audience:  "The URL of the service. The default, the organization's id, is shared with\nevery other service that its jobs get tokens for.",
		First:     "origin",
		Hosted:    circleIssuer + "/org/",
		AnyIssuer: true,
		OneOf:     [][2]string{{"project", "context"}},
		Questions: []Question{
			{Name: "organization", For: "organization_id", Text: "organization id", Required: true, Comment: "Organization Settings > Overview",
				Claims: []string{circleClaim + "org-id", "iss"}, Belongs: func(address string) bool {
					return has("/org/")(address) || has("/organization/")(address) && !has("/contexts/")(address)
				}},
			{Name: "project", For: "project_id", Text: "project id", Comment: "Project Settings > Overview", Belongs: has("/project/", "/projects/")},
			{Name: "context", For: "context_id", Text: "context id, if only jobs with that context may join", Belongs: has("/contexts/"),
				Comment: "Organization Settings > Contexts. Restrict who may use it: only then is it a gate."},
			{Name: "origin", For: "vcs_origin", Text: "repository that the code comes from, such as github.com/acme/shop", Where: "in the address of the repository",
				Required: true, Tidy: tidyOrigin, Comment: "Where the code comes from: it tells a fork from its original."},
			{Name: "ref", For: "vcs_ref", Text: "branch, if only its pipelines may join", Tidy: tidyRef, Comment: "Who may push to this branch can join. Protect it."},
			{Name: "definition", For: "pipeline_definition_id", Text: "pipeline definition id, if only that pipeline may join",
				Comment: "Project Settings > Project Setup", Belongs: has("definition")},
			{Name: "issuer", For: "issuer", Text: "issuer of the ID tokens, of a CircleCI server of your own", Unasked: true, Tidy: tidyIssuer,
				Comment: "Whoever runs this host can let in any job.", Claims: []string{"iss"}},
		},
	}
}
