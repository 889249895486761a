package scaffold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Write returns the YAML of a bot, a role and a token rule, with comments. a must be
// complete. findings are what lint says of them above info; there are none unless an
// answer is a pattern of everything, or names a CircleCI server of one's own.
func Write(method string, a Answers) (text []byte, findings []rules.Finding, err error) {
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
		quoted[i] = quote(v)
	}
	fmt.Fprintf(p, strings.ReplaceAll(strings.TrimPrefix(text, "\n"), "%q", "%s"), quoted...)
}

// given writes text with a value, unless there is none.
func (p *page) given(value, text string) {
	if value != "" {
		p.lines(text, value)
	}
}

func (p *page) head(method string, a Answers) {
	p.lines(`
# yaml-language-server: $schema=https://raw.githubusercontent.com/gatepass-ci/gatepass/main/docs/schema/gatepass.schema.json
#
# Which jobs may join, and what they get. Store it with: gatepassctl apply -f FILE
# Every field is described in docs/rules.md.
#
`)
	if method == "bitbucket" {
		p.lines(`
# In bitbucket-pipelines.yml, the step asks for an ID token with this audience:
#
#   oidc: {audiences: [%q]}
`, a["audience"])
	} else {
		fmt.Fprintf(p, `# In .circleci/config.yml, the job asks for an ID token with this audience, which
# the client does by itself:
#
#   gatepass join --server %s --audience %[1]s --token %s --destination ./credentials
`, a["audience"], a["bot"])
	}
}

func (p *page) role(a Answers) {
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

func (p *page) bot(a Answers) {
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

func (p *page) token(method string, a Answers) {
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
	if method == "bitbucket" {
		p.bitbucket(a)
	} else {
		p.circleci(a)
	}
}

func (p *page) bitbucket(a Answers) {
	p.lines(`
  bitbucket:
    # Repository settings > OpenID Connect: identity provider URL
    identity_provider_url: %q
    # The URL of the service. The workspace's default, which that page shows, is
    # shared with every other service that its pipelines get tokens for.
    audience: %q
`, a["issuer"], a["audience"])
	p.globs(a)
	p.lines(`
    # A job joins if it matches every line of one of these rules.
    allow:
      - workspace_uuid: %q
        repository_uuid: %q
`, a["workspace"], a["repository"])
	p.given(a["environment"], `
        # Limit the environment to some branches in Bitbucket, under
        # Repository settings > Deployments: only then is it a gate.
        deployment_environment_uuid: %q
`)
	p.given(a["branch"], `
        # Who may push to this branch can join. Protect it.
        branch_name: %q
`)
}

func (p *page) circleci(a Answers) {
	p.lines(`
  circleci:
    # Organization Settings > Overview
    organization_id: %q
`, a["organization"])
	p.given(a["issuer"], `
    # Whoever runs this host can let in any job.
    issuer: %q
`)
	p.lines(`
    # The URL of the service. The default, the organization's id, is shared with
    # every other service that its jobs get tokens for.
    audience: %q
`, a["audience"])
	p.globs(a)
	p.lines(`
    # A job joins if it matches every line of one of these rules.
    allow:
      # Where the code comes from: it tells a fork from its original.
      - vcs_origin: %q
`, a["origin"])
	p.given(a["project"], `
        # Project Settings > Overview
        project_id: %q
`)
	p.given(a["context"], `
        # Organization Settings > Contexts. Restrict who may use it: only then is it a gate.
        context_id: %q
`)
	p.given(a["ref"], `
        # Who may push to this branch can join. Protect it.
        vcs_ref: %q
`)
	p.given(a["definition"], `
        # Project Settings > Project Setup
        pipeline_definition_id: %q
`)
}

// globs turns patterns on where an answer that may be one is one: no branch and no
// repository has such a name.
func (p *page) globs(a Answers) {
	if strings.ContainsAny(a["branch"]+a["ref"]+a["origin"], "*?") {
		p.lines(`
    # In branch_name, vcs_ref and vcs_origin * is any run of characters, ? is one.
    enable_glob_matching: true
`)
	}
}

// quote writes a string that YAML reads as itself: JSON's are among YAML's.
func quote(s string) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can
	return strings.TrimSpace(out.String())
}
