package rules_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// The resources of Teleport's two guides, filled in as their text says.
const guides = `
kind: bot
version: v1
metadata:
  # name is a unique identifier for the bot in the cluster.
  name: example
spec:
  # roles is a list of roles to grant to the bot.
  roles: [access]
---
kind: token
version: v2
metadata:
  name: example-bot
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    # allow specifies rules that control which Bitbucket Pipelines runs will be allowed
    allow:
    - workspace_uuid: '{922e118c-f34f-4226-a897-0e0afbec553d}'
      repository_uuid: '{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}'
---
kind: token
version: v2
metadata:
  name: example-bot-2
  expires: 2100-01-01T00:00:00Z
spec:
  roles:
    - Bot
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    allow:
      - context_id: 00000000-0000-0000-0000-000000000002
---
kind: role
version: v6
metadata:
  name: access
spec:
  allow:
    logins: ['ubuntu']
    node_labels:
      '*': '*'
`

func TestGuidesApplyUnchanged(t *testing.T) {
	if got := parse(t, guides); len(got) != 4 {
		t.Errorf("%d resources, want 4", len(got))
	}
}

// An export of Teleport's: what is passed over is named, and what is understood is kept.
const exported = `
kind: role
version: v8
sub_kind: ""
revision: 3b1f
metadata:
  name: deployer
  namespace: default
  revision: 3b1f
  id: 1700000000000
spec:
  allow:
    logins: [deploy]
    node_labels: {'*': ['*']}
    kubernetes_labels: {'*': '*'}
    db_roles: [reader]
    windows_desktop_logins: [admin]
    rules:
      - {resources: [session], verbs: [list]}
  deny:
    rules:
      - {resources: [user], verbs: ['*']}
  options:
    cert_format: standard
    client_idle_timeout: never
    desktop_clipboard: false
    device_trust_mode: optional
    disconnect_expired_cert: false
    enhanced_recording: [command, network]
    forward_agent: true
    idp: {saml: {enabled: true}}
    lock: strict
    max_session_ttl: 30h0m0s
    max_connections: 0
    permit_x11_forwarding: true
    pin_source_ip: false
    record_session: {default: best_effort, desktop: true}
    require_session_mfa: false
    ssh_file_copy: true
    ssh_port_forwarding: {local: {enabled: true}, remote: {enabled: true}}
status:
  anything: [at, all]
`

func TestExportsAreUnderstood(t *testing.T) {
	docs, warnings, err := rules.Parse("role.yaml", []byte(exported))
	if err != nil {
		t.Fatal(err)
	}
	o := docs[0].Resource.(*rules.Role).Options
	if !o.AgentForwarding || !o.X11Forwarding || !o.PortForwarding {
		t.Errorf("options %+v, want agent, X11 and port forwarding", o)
	}
	var got []string
	for _, w := range warnings {
		if w.Message == "" || w.File != "role.yaml" || w.Line < 2 {
			t.Errorf("warning without a place or a message: %+v", w)
		}
		got = append(got, w.Field)
	}
	want := []string{
		"metadata.namespace", "metadata.revision", "metadata.id", "revision", "status", "sub_kind",
		"spec.allow.db_roles", "spec.allow.windows_desktop_logins", "spec.allow.rules", "spec.deny.rules",
		"spec.options.cert_format", "spec.options.desktop_clipboard", "spec.options.enhanced_recording",
		"spec.options.idp", "spec.options.lock", "spec.options.client_idle_timeout", "spec.options.device_trust_mode",
		"spec.options.disconnect_expired_cert", "spec.options.max_connections", "spec.options.require_session_mfa",
		"spec.options.ssh_file_copy", "spec.options.record_session",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings, -want +got:\n%s", diff)
	}
}

// What narrows access there and cannot here is refused by its name.
func TestNarrowingIsRefused(t *testing.T) {
	allow := func(s string) string { return "    " + s + "\n  deny:\n" }
	deny := func(s string) string { return "  deny:\n    " + s + "\n" }
	option := func(s string) string { return "  options:\n    " + s + "\n" }
	var tests []invalid
	for _, label := range []string{"kubernetes_labels", "db_labels", "app_labels"} {
		tests = append(tests,
			invalid{label + " of some servers", roleYAML, "  deny:\n", allow(label + ": {env: staging}"), "spec.allow." + label, "limits access to some servers"},
			invalid{label + " of all servers and some", roleYAML, "  deny:\n", allow(label + ": {'*': '*', env: staging}"), "spec.allow." + label, "limits access to some servers"},
			invalid{label + " of any server with a pattern", roleYAML, "  deny:\n", allow(label + ": {env: '*'}"), "spec.allow." + label, "limits access to some servers"},
			invalid{label + " of two values", roleYAML, "  deny:\n", allow(label + ": {'*': ['*', x]}"), "spec.allow." + label, "limits access to some servers"},
			invalid{label + " of no server", roleYAML, "  deny:\n", allow(label + ": {}"), "spec.allow." + label, "limits access to some servers"},
			invalid{label + " without a value", roleYAML, "  deny:\n", allow(label + ":"), "spec.allow." + label, "limits access to some servers"},
			invalid{label + " under deny", roleYAML, "  deny:\n", deny(label + ": {env: production}"), "spec.deny." + label, "denies access to some servers"},
			invalid{label + " of all servers under deny", roleYAML, "  deny:\n", deny(label + ": {'*': '*'}"), "spec.deny." + label, "denies access to some servers"},
			invalid{label + "_expression", roleYAML, "  deny:\n", allow(label + `_expression: 'true'`), "spec.allow." + label + "_expression", "narrows access"},
		)
	}
	tests = append(tests,
		invalid{"where", roleYAML, "  deny:\n", allow("where: contains(user, 'x')"), "spec.allow.where", "narrows access"},
		invalid{"where under deny", roleYAML, "  deny:\n", deny("where: contains(user, 'x')"), "spec.deny.where", "narrows access"},
		invalid{"where of a rule of the API", roleYAML, "  deny:\n", allow("rules: [{resources: [session], verbs: [list], where: x}]"), "spec.allow.rules[0].where", "cannot be held to"},
		invalid{"kubernetes_resources", roleYAML, "  deny:\n", allow("kubernetes_resources: [{kind: pod, namespace: shop, name: '*'}]"), "spec.allow.kubernetes_resources", "narrows access"},
		invalid{"require_session_join", roleYAML, "  deny:\n", allow("require_session_join: [{name: x}]"), "spec.allow.require_session_join", "narrows access"},
		invalid{"client_idle_timeout", roleYAML, "  options:\n", option("client_idle_timeout: 15m"), "spec.options.client_idle_timeout", "narrows access"},
		invalid{"disconnect_expired_cert", roleYAML, "  options:\n", option("disconnect_expired_cert: true"), "spec.options.disconnect_expired_cert", "narrows access"},
		invalid{"device trust", roleYAML, "  options:\n", option("device_trust_mode: required"), "spec.options.device_trust_mode", "narrows access"},
		invalid{"MFA", roleYAML, "  options:\n", option("require_session_mfa: true"), "spec.options.require_session_mfa", "narrows access"},
		invalid{"MFA by hardware", roleYAML, "  options:\n", option("require_session_mfa: hardware_key"), "spec.options.require_session_mfa", "narrows access"},
		invalid{"connections", roleYAML, "  options:\n", option("max_connections: 2"), "spec.options.max_connections", "narrows access"},
		invalid{"sessions", roleYAML, "  options:\n", option("max_sessions: 2"), "spec.options.max_sessions", "narrows access"},
		invalid{"no file copy", roleYAML, "  options:\n", option("ssh_file_copy: false"), "spec.options.ssh_file_copy", "narrows access"},
		invalid{"access by request", roleYAML, "  options:\n", option("request_access: always"), "spec.options.request_access", "narrows access"},
		invalid{"strict recording", roleYAML, "  options:\n", option("record_session: {default: strict}"), "spec.options.record_session", "strict recording"},
		invalid{"strict recording of SSH alone", roleYAML, "  options:\n", option("record_session: {default: best_effort, ssh: strict}"), "spec.options.record_session", "strict recording"},
		invalid{"strict recording of all but SSH", roleYAML, "  options:\n", option("record_session: {default: Strict, ssh: best_effort}"), "spec.options.record_session", "strict recording"},
		invalid{"recording that is not a mapping", roleYAML, "  options:\n", option("record_session: best_effort"), "spec.options.record_session", "strict recording"},
		invalid{"option that is not known", roleYAML, "  options:\n", option("some_new_limit: 1"), "spec.options.some_new_limit", "is not a field here"},
		invalid{"condition that is not known", roleYAML, "  deny:\n", allow("some_new_condition: 1"), "spec.allow.some_new_condition", "is not a field here"},
		invalid{"option said twice", roleYAML, "  options:\n", option("forward_agent: true\n    agent_forwarding: true"), "spec.options.forward_agent", "means the same as agent_forwarding"},
		invalid{"boolean in Teleport's words", roleYAML, "  options:\n", option("forward_agent: yes"), "spec.options.forward_agent", "write true or false"},
		invalid{"forwarding of unknown direction", roleYAML, "  options:\n", option("ssh_port_forwarding: {both: {enabled: true}}"), "spec.options.ssh_port_forwarding.both", "is not a field here"},
	)
	checkInvalid(t, tests)
}

func TestPortForwardingNeedsBothDirections(t *testing.T) {
	tests := []struct {
		name, options string
		want, warns   bool
	}{
		{"nothing said", "{}", false, false},
		{"ours", "{port_forwarding: true}", true, false},
		{"both directions", "{ssh_port_forwarding: {local: {enabled: true}, remote: {enabled: true}}}", true, false},
		{"neither direction", "{ssh_port_forwarding: {local: {enabled: false}, remote: {enabled: false}}}", false, false},
		{"local only", "{ssh_port_forwarding: {local: {enabled: true}, remote: {enabled: false}}}", false, true},
		{"remote only", "{ssh_port_forwarding: {remote: {enabled: true}}}", false, true},
		{"ours and both directions", "{port_forwarding: true, ssh_port_forwarding: {local: {enabled: true}, remote: {enabled: true}}}", true, false},
		{"ours and neither direction", "{port_forwarding: true, ssh_port_forwarding: {local: {enabled: false}, remote: {enabled: false}}}", false, true},
		{"not ours and both directions", "{port_forwarding: false, ssh_port_forwarding: {local: {enabled: true}, remote: {enabled: true}}}", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs, warnings, err := rules.Parse("test.yaml", []byte("{kind: role, version: v8, metadata: {name: r}, spec: {options: "+tt.options+"}}"))
			if err != nil {
				t.Fatal(err)
			}
			if got := docs[0].Resource.(*rules.Role).Options.PortForwarding; got != tt.want {
				t.Errorf("port forwarding %t, want %t", got, tt.want)
			}
			if got := len(warnings) > 0; got != tt.warns {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

func TestLockOfAJoinToken(t *testing.T) {
	lock := parseOne[*rules.Lock](t, edit(t, lockYAML, "bot: example", "join_token: example-bot"))
	if lock.Target != (rules.Target{Token: "example-bot"}) {
		t.Errorf("target %+v", lock.Target)
	}
	_, _, err := rules.Parse("test.yaml", []byte(edit(t, lockYAML, "bot: example", "join_token: a, token: b")))
	if found, ok := errors.AsType[rules.Errors](err); !ok || !strings.Contains(found[0].Message, "mean the same") {
		t.Errorf("two names of one target: %v", err)
	}
}
