package teleport

// The identifiers that a person finds on the settings pages and puts into the files.
const (
	workspace    = "922e118c-f34f-4226-a897-0e0afbec553d"
	repository   = "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"
	environment  = "3de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"
	organization = "00000000-0000-0000-0000-000000000001"
	context      = "00000000-0000-0000-0000-000000000002"
	project      = "00000000-0000-0000-0000-000000000003"
	provider     = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	audience     = "ari:cloud:bitbucket::workspace/" + workspace
)

// sample is a file, and what becomes of it.
type sample struct {
	name string
	yaml string
	// want are lines of what apply prints, of a file that is stored.
	want []string
	// warns is a part of a warning that it must come with; "" for none that is expected.
	warns string
	// refused is the field and a part of the message, of a file that is not.
	refused string
}

// valid are files that Teleport takes. They are stored as they stand.
var valid = []sample{
	{name: "the bot of both guides", want: []string{"bot/example"}, yaml: `
kind: bot
version: v1
metadata:
  # unique in the cluster
  name: example
spec:
  # more roles come with the access guides
  roles: []
`},
	{name: "the token of the Bitbucket guide", want: []string{"token/example-bot"}, yaml: `
kind: token
version: v2
metadata:
  name: example-bot
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: ` + provider + `
    audience: ` + audience + `
    # who may join
    allow:
    - workspace_uuid: '{` + workspace + `}'
      repository_uuid: '{` + repository + `}'
`},
	{name: "the token of the CircleCI guide", want: []string{"token/example-bot"}, yaml: `
kind: token
version: v2
metadata:
  name: example-bot
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: ` + organization + `
    # who may join
    allow:
    - context_id: ` + context + `
`},
	{name: "the token of the older CircleCI guide", want: []string{"token/circleci-demo"}, yaml: `
kind: token
version: v2
metadata:
  name: circleci-demo
  expires: "2100-01-01T00:00:00Z"
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: circleci-demo
  circleci:
    organization_id: ` + organization + `
    allow:
      - context_id: ` + context + `
`},
	{name: "every field of the Bitbucket reference", want: []string{"token/example-bot"}, yaml: `
kind: token
version: v2
metadata:
  name: example-bot
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    # from the page OpenID Connect
    identity_provider_url: ` + provider + `
    audience: ` + audience + `
    allow:
      - # one or both of these two
        workspace_uuid: '{` + workspace + `}'

        repository_uuid: '{` + repository + `}'

        # optional
        deployment_environment_uuid: '{` + environment + `}'

        branch_name: "main"
`},
	{name: "every field of the CircleCI reference, its project by its UUID", want: []string{"token/example-bot"}, yaml: `
kind: token
version: v2
metadata:
  name: example-bot
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: ` + organization + `
    allow:
      - # a context
        context_id: 00000000-0000-0000-0000-000000000000
        # a project
        project_id: ` + project + `
`},
	{name: "several rules, each with one of the fields that are required", want: []string{"token/a", "token/b"}, yaml: `
kind: token
version: v2
metadata: {name: a}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: ` + provider + `
    audience: ` + audience + `
    allow:
    - workspace_uuid: '{` + workspace + `}'
    - repository_uuid: '{` + repository + `}'
---
kind: token
version: v2
metadata: {name: b}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: ` + organization + `
    allow:
    - project_id: ` + project + `
    - context_id: ` + context + `
`},
	{name: "what the token reference adds for servers", want: []string{"token/my-token-name"}, warns: "spec.suggested_labels", yaml: `
kind: token
version: v2
metadata:
  name: my-token-name
spec:
  roles:
    - Bot
  join_method: circleci
  bot_name: my-bot
  suggested_labels:
    teams: ["sales-eng", "eng", "qa"]
    application: ["demo-product"]
  suggested_agent_matcher_labels:
    teams: ["sales-eng"]
  circleci:
    organization_id: ` + organization + `
    allow: [{context_id: ` + context + `}]
`},
	{name: "a token as tctl get prints it", want: []string{"token/example-bot"}, warns: "metadata.revision", yaml: `
kind: token
metadata:
  expires: "2100-01-01T00:00:00Z"
  labels:
    teleport.dev/origin: dynamic
  name: example-bot
  namespace: default
  revision: 43e1bb06-8b5d-4ad4-a4e5-6a5e0a4dc1ba
spec:
  bitbucket:
    allow:
    - repository_uuid: '{` + repository + `}'
      workspace_uuid: '{` + workspace + `}'
    audience: ` + audience + `
    identity_provider_url: ` + provider + `
  bot_name: example
  join_method: bitbucket
  roles:
  - Bot
version: v2
`},
	{name: "the bot of the reference", want: []string{"bot/robot"}, yaml: `
kind: bot
version: v1
metadata:
  # unique in the cluster
  name: robot
spec:
  roles:
  - editor
  # values for templates of roles
  traits:
  - name: logins
    values:
    - root
`},
	{name: "a bot as tctl get prints it", want: []string{"bot/example"}, warns: "status", yaml: `
kind: bot
metadata:
  name: example
spec:
  max_session_ttl: 43200s
  roles: [access]
  traits: []
status:
  role_name: bot-example
  user_name: bot-example
version: v1
`},
	{name: "an empty role", want: []string{"role/example-bot"}, yaml: `
kind: role
version: v5
metadata:
  name: example-bot
spec:
  allow: {}
  deny: {}
  options: {}
`},
	{name: "the role of the SSH access guide", want: []string{"role/example-role"}, yaml: `
kind: role
version: v6
metadata:
  name: example-role
spec:
  allow:
    # on every server
    logins: ['ubuntu']
    node_labels:
      '*': '*'
`},
}
