package rules_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// invalid is a change to a valid document that makes it invalid in one place.
type invalid struct {
	name     string
	document string
	old, new string
	field    string // of the one error
	message  string // that is part of it
}

func checkInvalid(t *testing.T, tests []invalid) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs, _, err := rules.Parse("test.yaml", []byte(edit(t, tt.document, tt.old, tt.new)))
			found, ok := errors.AsType[rules.Errors](err)
			if !ok || len(docs) != 0 {
				t.Fatalf("accepted, want an error in %s: %v", tt.field, err)
			}
			if len(found) != 1 || found[0].Field != tt.field || !strings.Contains(found[0].Message, tt.message) {
				t.Errorf("got  %v\nwant one error %s: …%s…", err, tt.field, tt.message)
			}
		})
	}
}

func TestMetadataIsValidated(t *testing.T) {
	checkInvalid(t, []invalid{
		{"unknown kind", botYAML, "kind: bot", "kind: user", "kind", "write bot, token, role or lock"},
		{"kind missing", botYAML, "kind: bot\n", "", "kind", "is missing"},
		{"version of a bot", botYAML, "version: v1", "version: v2", "version", "write v1"},
		{"version of a token", bitbucketYAML, "version: v2", "version: v1", "version", "write v2"},
		{"version of a lock", lockYAML, "version: v2", "version: v1", "version", "write v2"},
		{"role too old", roleYAML, "version: v7", "version: v2", "version", "from v3 to v8"},
		{"role too new", roleYAML, "version: v7", "version: v9", "version", "from v3 to v8"},
		{"version missing", botYAML, "version: v1\n", "", "version", "write v1"},
		{"name missing", botYAML, "name: example, ", "", "metadata.name", "is missing"},
		{"name with capitals", botYAML, "name: example,", "name: Example,", "metadata.name", `write "example"`},
		{"name begins with a dot", botYAML, "name: example,", "name: .example,", "metadata.name", "a name starts with"},
		{"name with a slash", botYAML, "name: example,", "name: a/b,", "metadata.name", "is not a name"},
		{"name not ASCII", botYAML, "name: example,", "name: größe,", "metadata.name", "is not a name"},
		{"bot name of 65", botYAML, "name: example,", "name: " + strings.Repeat("b", 65) + ",", "metadata.name", "at most 64"},
		{"token name of 254", bitbucketYAML, "name: example-bot,", "name: " + strings.Repeat("b", 254) + ",", "metadata.name", "at most 253"},
		{"control character in a description", botYAML, "deploys the shop", `"a\x00b"`, "metadata.description", "U+0000"},
		{"expires of a bot", botYAML, "name: example,", "name: example, expires: 2100-01-01T00:00:00Z,", "metadata.expires", "a bot does not expire"},
		{"expires of a bot, and not a time", botYAML, "name: example,", "name: example, expires: never,", "metadata.expires", "a bot does not expire"},
		{"expires of a lock in the wrong place, and out of range", lockYAML, "name: stop-example", `name: stop-example, expires: "0001-01-01T00:00:00Z"`, "metadata.expires", "write spec.expires"},
		{"expires of a role", roleYAML, "name: deployer", "name: deployer, expires: 2100-01-01T00:00:00Z", "metadata.expires", "a role does not expire"},
		{"expires of a lock in the wrong place", lockYAML, "name: stop-example", "name: stop-example, expires: 2100-01-01T00:00:00Z", "metadata.expires", "write spec.expires"},
		{"expires is a date", bitbucketYAML, `"2100-01-01T00:00:00Z"`, "2100-01-01", "metadata.expires", "2100-01-01T00:00:00Z"},
		{"expires is a word", bitbucketYAML, `"2100-01-01T00:00:00Z"`, "never", "metadata.expires", "is not a time"},
		{"expires before 1970", bitbucketYAML, `"2100-01-01T00:00:00Z"`, `"0001-01-01T00:00:00Z"`, "metadata.expires", "is out of range"},
		{"sub_kind", botYAML, "version: v1", "version: v1\nsub_kind: other", "sub_kind", "must be empty"},
		{"spec missing", "kind: role\nversion: v7\nmetadata: {name: r}\n# end", "# end", "", "spec", "is missing"},
	})
}

func TestBotIsValidated(t *testing.T) {
	checkInvalid(t, []invalid{
		{"role is no name", botYAML, "[deployer]", "[Deployer]", "spec.roles[0]", `write "deployer"`},
		{"role twice", botYAML, "[deployer]", "[deployer, deployer]", "spec.roles[1]", "there twice"},
		{"more roles than allowed", botYAML, "[deployer]", "[" + numbered("r", 101) + "]", "spec.roles", "at most 100"},
		{"trait without a name", botYAML, "- name: logins\n      values", "- values", "spec.traits[0].name", "is not the name of a trait"},
		{"trait with a brace in its name", botYAML, "- name: logins", `- name: "a}}"`, "spec.traits[0].name", "is not the name of a trait"},
		{"trait twice", botYAML, "values: [deploy]", "values: [deploy]\n    - {name: logins, values: [x]}", "spec.traits[1].name", "there twice"},
		{"empty value of a trait", botYAML, "values: [deploy]", `values: [""]`, "spec.traits[0].values[0]", "is empty"},
		{"line break in a trait", botYAML, "values: [deploy]", `values: ["a\nb"]`, "spec.traits[0].values[0]", "U+000A"},
		{"negative max_session_ttl", botYAML, "max_session_ttl: 1h", "max_session_ttl: -1h", "spec.max_session_ttl", "is not positive"},
		{"zero max_session_ttl", botYAML, "max_session_ttl: 1h", "max_session_ttl: 0s", "spec.max_session_ttl", "is not positive"},
		{"max_session_ttl without a unit", botYAML, "max_session_ttl: 1h", `max_session_ttl: "60"`, "spec.max_session_ttl", "write one such as 30m"},
		{"max_session_ttl of half a second", botYAML, "max_session_ttl: 1h", "max_session_ttl: 500ms", "spec.max_session_ttl", "whole number of seconds"},
	})
}

func TestTokenIsValidated(t *testing.T) {
	checkInvalid(t, []invalid{
		{"roles missing", bitbucketYAML, "  roles: [Bot]\n", "", "spec.roles", "must be exactly [Bot]"},
		{"role of a server", bitbucketYAML, "roles: [Bot]", "roles: [Node]", "spec.roles", "must be exactly [Bot]"},
		{"further role", bitbucketYAML, "roles: [Bot]", "roles: [Bot, Node]", "spec.roles", "must be exactly [Bot]"},
		{"bot_name missing", bitbucketYAML, "  bot_name: example\n", "", "spec.bot_name", "name the bot"},
		{"bot_name is no name", bitbucketYAML, "bot_name: example", "bot_name: a b", "spec.bot_name", "is not a name"},
		{"join_method missing", bitbucketYAML, "  join_method: bitbucket\n", "", "spec.join_method", "write bitbucket, circleci or github"},
		{"join_method unknown", bitbucketYAML, "join_method: bitbucket", "join_method: jenkins", "spec.join_method", "write bitbucket, circleci or github"},
		{"section missing", "kind: token\nversion: v2\nmetadata: {name: a}\nspec: {roles: [Bot], bot_name: b, join_method: circleci}\n# end", "# end", "", "spec.circleci", "is missing"},
		{"another section too", bitbucketYAML, "  max_joins: 1\n", "  circleci: {organization_id: 00000000-0000-0000-0000-000000000001}\n", "spec.circleci", "remove this section"},
		{"max_joins of 0", bitbucketYAML, "max_joins: 1", "max_joins: 0", "spec.max_joins", "from 1 to 100"},
		{"max_joins of 101", bitbucketYAML, "max_joins: 1", "max_joins: 101", "spec.max_joins", "from 1 to 100"},
		{"max_joins in quotes", bitbucketYAML, "max_joins: 1", `max_joins: "1"`, "spec.max_joins", "whole number"},
		{"max_joins of 1.5", bitbucketYAML, "max_joins: 1", "max_joins: 1.5", "spec.max_joins", "whole number"},
		{"max_token_age above a day", bitbucketYAML, "max_token_age: 1h", "max_token_age: 24h1s", "spec.max_token_age", "at most 24h"},
		{"max_token_age of 0", bitbucketYAML, "max_token_age: 1h", "max_token_age: 0h", "spec.max_token_age", "is not positive"},
		{"bind in another word", circleYAML, "bind: required", "bind: strict", "spec.bind", "write required, or optional"},
		{"bind in capital letters", circleYAML, "bind: required", "bind: Required", "spec.bind", "write required, or optional"},
		{"bind that is empty", circleYAML, "bind: required", `bind: ""`, "spec.bind", "is empty"},
		{"bind that is true", circleYAML, "bind: required", "bind: true", "spec.bind", "is the boolean true"},
		{"bind where the CI mints once", bitbucketYAML, "max_joins: 1", "bind: required", "spec.bind", "Bitbucket Pipelines mints an ID token before a job can ask"},
		{"audience in its bound form", circleYAML, "audience: https://join.example.com", "audience: https://join.example.com#gatepass-v1:AAAA", "spec.circleci.audience", `write "https://join.example.com", and bind: required`},
	})
}

func TestBitbucketIsValidated(t *testing.T) {
	const url = "identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	const workspace = `workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}"`
	const repository = `repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"`
	checkInvalid(t, []invalid{
		{"issuer missing", bitbucketYAML, "    " + url + "\n", "", "spec.bitbucket.identity_provider_url", "copy it from"},
		{"audience missing", bitbucketYAML, "    audience: https://join.example.com\n", "", "spec.bitbucket.audience", "is missing"},
		{"audience with a star", bitbucketYAML, "audience: https://join.example.com", "audience: https://*", "spec.bitbucket.audience", "one exact value"},
		{"audience of 257", bitbucketYAML, "audience: https://join.example.com", "audience: " + strings.Repeat("a", 257), "spec.bitbucket.audience", "at most 256"},
		{"no allow rule", bitbucketYAML, "allow:\n      - " + workspace + "\n        " + repository + "\n        branch_name: main\n", "allow: []\n", "spec.bitbucket.allow", "at least one rule"},
		{"allow rule without workspace and repository", bitbucketYAML, "- " + workspace + "\n        " + repository + "\n        branch_name", "- branch_name", "spec.bitbucket.allow[0]", "needs workspace_uuid or repository_uuid"},
		{"empty allow rule", bitbucketYAML, "    deny:\n", "      - {}\n    deny:\n", "spec.bitbucket.allow[1]", "needs workspace_uuid or repository_uuid"},
		{"empty deny rule", bitbucketYAML, "- branch_name: legacy", "- {}", "spec.bitbucket.deny[0]", "names at least one field"},
		{"workspace by name", bitbucketYAML, workspace, "workspace_uuid: acme", "spec.bitbucket.allow[0].workspace_uuid", "looks like a name; write the UUID of the workspace"},
		{"repository by slug", bitbucketYAML, repository, "repository_uuid: acme/shop", "spec.bitbucket.allow[0].repository_uuid", "looks like a slug"},
		{"UUID too short", bitbucketYAML, repository, `repository_uuid: "{1de489be-44a1-4b9d-9f4e}"`, "spec.bitbucket.allow[0].repository_uuid", "is not a whole UUID"},
		{"UUID too long by a digit", bitbucketYAML, repository, `repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c0}"`, "spec.bitbucket.allow[0].repository_uuid", "is not a whole UUID"},
		{"UUID twice over", bitbucketYAML, repository, "repository_uuid: 1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c", "spec.bitbucket.allow[0].repository_uuid", "is not a whole UUID"},
		{"UUID with other signs than hyphens", bitbucketYAML, repository, "repository_uuid: 1de489be+44a1-4b9d-9f4e-1f7d2f2a6b2c", "spec.bitbucket.allow[0].repository_uuid", "write the UUID"},
		{"UUID with a letter beyond f", bitbucketYAML, repository, "repository_uuid: 1de489bg-44a1-4b9d-9f4e-1f7d2f2a6b2c", "spec.bitbucket.allow[0].repository_uuid", "write the UUID"},
		{"UUID with one brace", bitbucketYAML, repository, `repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"`, "spec.bitbucket.allow[0].repository_uuid", "is not a whole UUID"},
		{"UUID with two pairs of braces", bitbucketYAML, repository, `repository_uuid: "{{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}}"`, "spec.bitbucket.allow[0].repository_uuid", "is not a whole UUID"},
		{"environment by name", bitbucketYAML, "branch_name: main", "deployment_environment_uuid: production", "spec.bitbucket.allow[0].deployment_environment_uuid", "the UUID of the deployment environment"},
		{"empty branch", bitbucketYAML, "branch_name: main", `branch_name: ""`, "spec.bitbucket.allow[0].branch_name", "is empty"},
		{"branch without a value", bitbucketYAML, "branch_name: main", "branch_name:", "spec.bitbucket.allow[0].branch_name", "has no value"},
		{"branch that is a number", bitbucketYAML, "branch_name: main", "branch_name: 1.0", "spec.bitbucket.allow[0].branch_name", `write "1.0", with the quotes`},
		{"branch with an invisible end", bitbucketYAML, "branch_name: main", `branch_name: "main "`, "spec.bitbucket.allow[0].branch_name", "begins or ends with a space"},
		{"branch with a hidden character", bitbucketYAML, "branch_name: main", `branch_name: "ma\u200bin"`, "spec.bitbucket.allow[0].branch_name", "U+200B"},
		{"deny rule with a bad UUID", bitbucketYAML, "- branch_name: legacy", "- workspace_uuid: acme", "spec.bitbucket.deny[0].workspace_uuid", "looks like a name"},
		{"field of CircleCI", bitbucketYAML, "branch_name: main", "vcs_ref: refs/heads/main", "spec.bitbucket.allow[0].vcs_ref", "is not a field here"},
	})
}

func TestIssuersAreValidated(t *testing.T) {
	const valid = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	tests := []struct{ name, issuer, message string }{
		{"not https", "http://ci.example.com", "begin with https://"},
		{"no scheme", "ci.example.com", "begin with https://"},
		{"scheme in capitals", "HTTPS://ci.example.com", "begin with https://"},
		{"user", "https://me@ci.example.com", "names a user"},
		{"user and password", "https://me:secret@ci.example.com", "names a user"},
		{"query", "https://ci.example.com/a?b=c", "a query or a fragment"},
		{"empty query", "https://ci.example.com/a?", "a query or a fragment"},
		{"fragment", "https://ci.example.com/a#b", "a query or a fragment"},
		{"empty fragment", "https://ci.example.com/a#", "a query or a fragment"},
		{"trailing slash", "https://ci.example.com/", "ends in a slash"},
		{"no host", "https:///a", "no valid host"},
		{"only a port", "https://:443/a", "no valid host"},
		{"port 0", "https://ci.example.com:0", "no valid host"},
		{"port 65536", "https://ci.example.com:65536", "no valid host"},
		{"port with a zero before it", "https://ci.example.com:0443", "no valid host"},
		{"IPv6 address with a zone", "https://[fe80::1%25eth0]", "no valid host"},
		{"empty port", "https://ci.example.com:", "no valid host"},
		{"pattern in the host", "https://*.example.com", "no valid host"},
		{"backslash", `https://ci.example.com\a`, "is not a URL"},
		{"a dot in the path", "https://ci.example.com/a/./b", "segment"},
		{"dots in the path", "https://ci.example.com/a/../b", "segment"},
		{"empty segment", "https://ci.example.com//a", "segment"},
		{"escaped slash", "https://ci.example.com/a%2fb", "plain URL characters"},
		{"space", "https://ci.example.com/a b", "plain URL characters"},
		{"longer than 512", "https://ci.example.com/" + strings.Repeat("a", 500), "at most 512"},
	}
	for _, tt := range tests {
		checkInvalid(t, []invalid{
			{tt.name + ", Bitbucket", bitbucketYAML, valid, "'" + tt.issuer + "'", "spec.bitbucket.identity_provider_url", tt.message},
			{tt.name + ", CircleCI", circleYAML, "issuer: https://oidc.circleci.com", "issuer: '" + tt.issuer + "'", "spec.circleci.issuer", tt.message},
		})
	}
	for _, issuer := range []string{"https://ci.example.com", "https://ci.example.com:8443/a/b", "https://[2001:db8::1]:8443", "https://127.0.0.1:1234", "https://ci.example.com:65535", "https://[2001:DB8::1.2.3.4]", "https://ci.example.com/a~b"} {
		token := parseOne[*rules.TokenRule](t, edit(t, circleYAML, "https://oidc.circleci.com", issuer))
		if token.Issuer() != issuer {
			t.Errorf("issuer %s became %s", issuer, token.Issuer())
		}
	}
}

func TestCircleCIIsValidated(t *testing.T) {
	const organization = "organization_id: 00000000-0000-0000-0000-000000000001"
	const project = "project_id: 00000000-0000-0000-0000-000000000003"
	const context = "context_id: 00000000-0000-0000-0000-000000000002"
	checkInvalid(t, []invalid{
		{"organization missing", circleYAML, "    " + organization + "\n", "", "spec.circleci.organization_id", "Organization Settings"},
		{"organization by name", circleYAML, organization, "organization_id: acme", "spec.circleci.organization_id", "looks like a name"},
		{"organization that would alter the issuer", circleYAML, organization, "organization_id: ../../evil", "spec.circleci.organization_id", "write the UUID"},
		{"organization with a query", circleYAML, organization, "organization_id: 00000000-0000-0000-0000-00000000000?", "spec.circleci.organization_id", "write the UUID"},
		{"project by number", circleYAML, project, "project_id: 1234", "spec.circleci.allow[0].project_id", `"1234" is a number; write the UUID of the project`},
		{"project by slug", circleYAML, project, "project_id: gh/acme/shop", "spec.circleci.allow[0].project_id", "looks like a slug"},
		{"context by name", circleYAML, context, "context_id: teleport-access", "spec.circleci.allow[0].context_id", "looks like a name; write the UUID of the context"},
		{"pipeline definition by name", circleYAML, "pipeline_definition_id: 00000000-0000-0000-0000-000000000004", "pipeline_definition_id: build", "spec.circleci.allow[0].pipeline_definition_id", "looks like a name"},
		{"allow rule without project and context", circleYAML, "- " + context + "\n        " + project + "\n        pipeline", "- pipeline", "spec.circleci.allow[0]", "needs project_id or context_id"},
		{"empty deny rule", circleYAML, "- vcs_ref: refs/heads/legacy", "- {}", "spec.circleci.deny[0]", "names at least one field"},
		{"id without a value", circleYAML, project, "project_id:", "spec.circleci.allow[0].project_id", "has no value"},
		{"empty id", circleYAML, project, `project_id: ""`, "spec.circleci.allow[0].project_id", "is empty"},
		{"allow_forks in words", circleYAML, "    allow:", "    allow_forks: \"yes\"\n    allow:", "spec.circleci.allow_forks", "write true or false"},
		{"allow_ssh_rerun as a number", circleYAML, "    allow:", "    allow_ssh_rerun: 1\n    allow:", "spec.circleci.allow_ssh_rerun", "write true or false"},
		{"empty audience", circleYAML, "audience: https://join.example.com", `audience: ""`, "spec.circleci.audience", "is empty"},
		{"more rules than allowed", circleYAML, "    deny:\n", strings.Repeat("      - {"+project+"}\n", 1000) + "    deny:\n", "spec.circleci.allow", "at most 1000"},
	})
}

func TestGrantsAreValidated(t *testing.T) {
	checkInvalid(t, []invalid{
		{"star", roleYAML, "db_users: [app]", `db_users: ["*"]`, "spec.allow.db_users[0]", "name each value"},
		{"star in a name", roleYAML, "app_names: [grafana]", `app_names: ["graf*"]`, "spec.allow.app_names[0]", "name each value"},
		{"star under deny", roleYAML, "logins: [admin]", `logins: ["*"]`, "spec.deny.logins[0]", "name each value"},
		{"empty value", roleYAML, "db_names: [orders]", `db_names: [""]`, "spec.allow.db_names[0]", "is empty"},
		{"value without a value", roleYAML, "db_names: [orders]", "db_names: [~]", "spec.allow.db_names[0]", "without a value"},
		{"value twice", roleYAML, "db_names: [orders]", "db_names: [orders, orders]", "spec.allow.db_names[1]", "there twice"},
		{"no list", roleYAML, "db_names: [orders]", "db_names: orders", "spec.allow.db_names", "write a list"},
		{"login begins with a digit", roleYAML, "logins: [admin]", "logins: [1admin]", "spec.deny.logins[0]", "is not a login"},
		{"login begins with a hyphen", roleYAML, "logins: [admin]", "logins: [-oProxyCommand]", "spec.deny.logins[0]", "is not a login"},
		{"login with a comma", roleYAML, "logins: [admin]", `logins: ["a,b"]`, "spec.deny.logins[0]", "is not a login"},
		{"login with a line break", roleYAML, "logins: [admin]", `logins: ["a\nb"]`, "spec.deny.logins[0]", "is not a login"},
		{"login not ASCII", roleYAML, "logins: [admin]", `logins: ["größe"]`, "spec.deny.logins[0]", "is not a login"},
		{"database user of 65", roleYAML, "db_users: [app]", "db_users: [" + strings.Repeat("ä", 65) + "]", "spec.allow.db_users[0]", "at most 64"},
		{"unprintable group", roleYAML, "[deployers]", `["a\tb"]`, "spec.allow.kubernetes_groups[0]", "U+0009"},
		{"audience of 257", roleYAML, `["https://vault.example.com"]`, "[" + strings.Repeat("a", 257) + "]", "spec.allow.jwt_audiences[0]", "at most 256"},
		{"audience with a star", roleYAML, `["https://vault.example.com"]`, `["https://*"]`, "spec.allow.jwt_audiences[0]", "name each value"},
		{"template under deny", roleYAML, "logins: [admin]", `logins: ["{{internal.logins}}"]`, "spec.deny.logins[0]", "literal values only"},
		{"template in a value", roleYAML, "db_users: [app]", `db_users: ["app-{{internal.x}}"]`, "spec.allow.db_users[0]", "a whole value"},
		{"template of another source", roleYAML, "db_users: [app]", `db_users: ["{{user.name}}"]`, "spec.allow.db_users[0]", "is not a template that is understood"},
		{"template with a function", roleYAML, "db_users: [app]", `db_users: ["{{email.local(external.x)}}"]`, "spec.allow.db_users[0]", "is not a template that is understood"},
		{"two templates", roleYAML, "db_users: [app]", `db_users: ["{{internal.a}}{{internal.b}}"]`, "spec.allow.db_users[0]", "is not a template that is understood"},
		{"half a template", roleYAML, "db_users: [app]", `db_users: ["{{internal.a"]`, "spec.allow.db_users[0]", "is not a template that is understood"},
	})
}

func TestOptionsAreValidated(t *testing.T) {
	const extension = "{type: ssh, mode: extension, name: login@github.com, value: octo-bot}"
	checkInvalid(t, []invalid{
		{"boolean in words", roleYAML, "permit_pty: true", "permit_pty: yes", "spec.options.permit_pty", "write true or false"},
		{"line break in a command", roleYAML, "permit_pty: true", `force_command: "a\nb"`, "spec.options.force_command", "U+000A"},
		{"NUL in a command", roleYAML, "permit_pty: true", `force_command: "a\0b"`, "spec.options.force_command", "U+0000"},
		{"extension of OpenSSH", roleYAML, "login@github.com", "permit-pty", "spec.options.cert_extensions[0].name", "permit_pty"},
		{"extension with nothing before the @", roleYAML, "login@github.com", `"@github.com"`, "spec.options.cert_extensions[0].name", "is not NAME@DOMAIN"},
		{"extension with a space", roleYAML, "login@github.com", "lo gin@github.com", "spec.options.cert_extensions[0].name", "printable ASCII"},
		{"extension twice", roleYAML, extension, extension + "\n      - " + extension, "spec.options.cert_extensions[1]", "there twice"},
		{"extension of another type", roleYAML, "type: ssh", "type: x509", "spec.options.cert_extensions[0].type", "write ssh"},
		{"critical option", roleYAML, "mode: extension", "mode: critical", "spec.options.cert_extensions[0].mode", "write extension"},
		{"unprintable value of an extension", roleYAML, "octo-bot", `"a\u0007"`, "spec.options.cert_extensions[0].value", "U+0007"},
		{"unknown option", roleYAML, "permit_pty: true", "permit_ptty: true", "spec.options.permit_ptty", "did you mean permit_pty?"},
	})
}

func TestLockIsValidated(t *testing.T) {
	checkInvalid(t, []invalid{
		{"no target", lockYAML, "{bot: example}", "{}", "spec.target", "exactly one of"},
		{"two targets", lockYAML, "{bot: example}", "{bot: example, role: deployer}", "spec.target", "exactly one of"},
		{"all and a bot", lockYAML, "{bot: example}", "{bot: example, all: true}", "spec.target", "exactly one of"},
		{"all: false", lockYAML, "{bot: example}", "{all: false}", "spec.target", "exactly one of"},
		{"bot is no name", lockYAML, "{bot: example}", "{bot: a b}", "spec.target.bot", "is not a name"},
		{"target of Teleport's that is none here", lockYAML, "{bot: example}", "{bot: example, user: alice}", "spec.target.user", "is not a field here"},
		{"end is no time", lockYAML, "2100-01-01T00:00:00Z", "tomorrow", "spec.expires", "is not a time"},
	})
}
