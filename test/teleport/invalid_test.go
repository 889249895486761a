package teleport

import "strings"

// Tokens to make mistakes in.
const (
	bitbucketToken = `
kind: token
version: v2
metadata: {name: example-bot}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: ` + provider + `
    audience: ` + audience + `
    allow:
    - workspace_uuid: '{` + workspace + `}'
      repository_uuid: '{` + repository + `}'
`
	circleToken = `
kind: token
version: v2
metadata: {name: example-bot}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: ` + organization + `
    allow:
    - context_id: ` + context + `
`
)

// with replaces parts of a file, in pairs of old and new. A part that is not there
// makes no file, which no verdict fits.
func with(yaml string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(yaml, pairs[i]) != 1 {
			return "not there once: " + pairs[i]
		}
		yaml = strings.Replace(yaml, pairs[i], pairs[i+1], 1)
	}
	return yaml
}

const (
	bitbucketAllow = "    allow:\n    - workspace_uuid: '{" + workspace + "}'\n      repository_uuid: '{" + repository + "}'\n"
	circleAllow    = "    allow:\n    - context_id: " + context + "\n"
)

// invalid are files that Teleport refuses when they are created. So are they here.
var invalid = []sample{
	{name: "no roles", yaml: with(bitbucketToken, "  roles: [Bot]\n", ""), refused: "spec.roles: must be exactly [Bot]"},
	{name: "empty roles", yaml: with(bitbucketToken, "[Bot]", "[]"), refused: "spec.roles: must be exactly [Bot]"},
	{name: "a role that there is not", yaml: with(bitbucketToken, "[Bot]", "[Robot]"), refused: "spec.roles: must be exactly [Bot]"},
	{name: "a bot's token without a bot", yaml: with(bitbucketToken, "  bot_name: example\n", ""), refused: "spec.bot_name: is missing"},
	{name: "a bot's name in a server's token", yaml: with(bitbucketToken, "[Bot]", "[Node]"), refused: "spec.roles: must be exactly [Bot]"},
	{name: "a join method that there is not", yaml: with(circleToken, "join_method: circleci", "join_method: circle"), refused: `spec.join_method: "circle" is not supported`},
	{name: "no name", yaml: with(circleToken, "{name: example-bot}", "{}"), refused: "metadata.name: is missing"},
	{name: "a version that there is not", yaml: with(circleToken, "version: v2", "version: v9"), refused: `version: "v9" is not the version of a token`},

	{name: "Bitbucket: no section", yaml: with(bitbucketToken, "  bitbucket:\n    identity_provider_url: "+provider+"\n    audience: "+audience+"\n"+bitbucketAllow, ""), refused: "spec.bitbucket: is missing"},
	{name: "Bitbucket: no allow rules", yaml: with(bitbucketToken, bitbucketAllow, ""), refused: "spec.bitbucket.allow: is missing or empty"},
	{name: "Bitbucket: empty allow rules", yaml: with(bitbucketToken, bitbucketAllow, "    allow: []\n"), refused: "spec.bitbucket.allow: is missing or empty"},
	{name: "Bitbucket: no audience", yaml: with(bitbucketToken, "    audience: "+audience+"\n", ""), refused: "spec.bitbucket.audience: is missing"},
	{name: "Bitbucket: empty audience", yaml: with(bitbucketToken, audience, `""`), refused: "spec.bitbucket.audience: is empty"},
	{name: "Bitbucket: no identity provider", yaml: with(bitbucketToken, "    identity_provider_url: "+provider+"\n", ""), refused: "spec.bitbucket.identity_provider_url: is missing"},
	{name: "Bitbucket: a rule with a branch only", yaml: with(bitbucketToken, bitbucketAllow, "    allow: [{branch_name: main}]\n"), refused: "spec.bitbucket.allow[0]: needs workspace_uuid or repository_uuid"},
	{name: "Bitbucket: a rule with an environment only", yaml: with(bitbucketToken, bitbucketAllow, "    allow: [{deployment_environment_uuid: '{"+environment+"}'}]\n"), refused: "spec.bitbucket.allow[0]: needs workspace_uuid or repository_uuid"},
	{name: "Bitbucket: a second rule that is empty", yaml: with(bitbucketToken, bitbucketAllow, bitbucketAllow+"    - {}\n"), refused: "spec.bitbucket.allow[1]: needs workspace_uuid or repository_uuid"},

	{name: "CircleCI: no section", yaml: with(circleToken, "  circleci:\n    organization_id: "+organization+"\n"+circleAllow, ""), refused: "spec.circleci: is missing"},
	{name: "CircleCI: no allow rules", yaml: with(circleToken, circleAllow, ""), refused: "spec.circleci.allow: is missing or empty"},
	{name: "CircleCI: no organization", yaml: with(circleToken, "    organization_id: "+organization+"\n", ""), refused: "spec.circleci.organization_id: is missing"},
	{name: "CircleCI: a rule that is empty", yaml: with(circleToken, circleAllow, "    allow: [{}]\n"), refused: "spec.circleci.allow[0]: needs project_id or context_id"},

	{name: "the token reference's common fields, as they are printed there", refused: "spec.roles: must be exactly [Bot]", yaml: `
kind: token
version: v2
metadata:
  name: my-token-name
spec:
  roles:
    - Node
    - App
  join_method: gcp
  bot_name: my-bot
  suggested_labels:
    teams: ["sales-eng"]
`},
	{name: "the form of the Kubernetes operator", refused: "kind: ", yaml: `
apiVersion: resources.teleport.dev/v2
kind: TeleportProvisionToken
metadata:
  name: example-bot
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: ` + organization + `
    allow: [{context_id: ` + context + `}]
`},
}

// stricter are files that Teleport takes and Gatepass refuses, each for the reason
// that is its name.
var stricter = []sample{
	{name: "no job could ever match a placeholder: the Bitbucket reference as it is printed", refused: "spec.bitbucket.allow[0].workspace_uuid: ",
		yaml: with(bitbucketToken, provider, "$IDENTITY_PROVIDER_URL", audience, "$AUDIENCE", "'{"+workspace+"}'", "'{WORKSPACE_UUID}'", "'{"+repository+"}'", "'{REPOSITORY_UUID}'")},
	{name: "no job could ever match a placeholder: the CircleCI reference as it is printed", refused: `spec.circleci.organization_id: "$ORGANIZATION_ID" looks like a name`,
		yaml: with(circleToken, organization, "$ORGANIZATION_ID")},
	{name: "no job could ever match a number: the project of the CircleCI reference", refused: `spec.circleci.allow[0].project_id: "1234" is a number; write the UUID of the project`,
		yaml: with(circleToken, circleAllow, circleAllow+"      project_id: 1234\n")},
	{name: "no job could ever match a name: of a context", refused: `spec.circleci.allow[0].context_id: "teleport-access" looks like a name`,
		yaml: with(circleToken, context, "teleport-access")},
	{name: "no job could ever match a name: of a workspace", refused: `spec.bitbucket.allow[0].workspace_uuid: "acme" looks like a name`,
		yaml: with(bitbucketToken, "'{"+workspace+"}'", "acme")},
	{name: "no token could ever have the issuer: a slash at its end", refused: "spec.bitbucket.identity_provider_url: ",
		yaml: with(bitbucketToken, provider, provider+"/")},
	{name: "keys would come from anybody: an issuer without TLS", refused: "spec.bitbucket.identity_provider_url: ",
		yaml: with(bitbucketToken, provider, "http://api.bitbucket.org/x")},
	{name: "an empty field would mean any branch", refused: "spec.bitbucket.allow[0].branch_name: is empty",
		yaml: with(bitbucketToken, bitbucketAllow, bitbucketAllow+`      branch_name: ""`+"\n")},
	{name: "only bots join here: a server's role beside a bot's", refused: "spec.roles: must be exactly [Bot]",
		yaml: with(bitbucketToken, "[Bot]", "[Bot, Node]")},
	{name: "a secret in place of an ID token: no join method", refused: "spec.join_method: is missing",
		yaml: with(circleToken, "  join_method: circleci\n", "")},
	{name: "a section would be passed over: of another method", refused: "spec.circleci: join_method is bitbucket; remove this section",
		yaml: bitbucketToken + "  circleci: {organization_id: " + organization + ", allow: [{context_id: " + context + "}]}\n"},
	{name: "a field would be passed over: one of Teleport's other methods", refused: "spec.gitlab: is not a field here",
		yaml: circleToken + "  gitlab: {allow: [{project_path: acme/shop}]}\n"},
	{name: "a limit would be passed over: labels of databases", refused: "spec.allow.db_labels: limits access to some servers", yaml: `
kind: role
version: v7
metadata: {name: staging}
spec: {allow: {db_users: [app], db_labels: {env: staging}}}
`},
}
