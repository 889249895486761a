package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// team returns a bot with the roles that specs describe, NAME: SPEC on each line.
func team(t testing.TB, specs string) (*rules.Bot, []*rules.Role) {
	t.Helper()
	bot := &rules.Bot{Metadata: rules.Metadata{Name: "example"}, Traits: []rules.Trait{
		{Name: "logins", Values: []string{"deploy", "ops"}},
		{Name: "mixed", Values: []string{"fine", "not fine", "*", "-x", "{{internal.logins}}", "half{{", "}}half", ""}},
		{Name: "groups", Values: []string{"system:masters", "deployers"}},
		{Name: "none"},
		{Name: "forged", Values: []string{"x@env=prod", "x@env=staging,env=prod", "x=y"}},
	}}
	var roles []*rules.Role
	for line := range strings.Lines(strings.TrimSpace(specs)) {
		name, spec, _ := strings.Cut(strings.TrimSpace(line), ": ")
		bot.Roles = append(bot.Roles, name)
		roles = append(roles, parseOne[*rules.Role](t, "{kind: role, version: v7, metadata: {name: "+name+"}, spec: "+spec+"}"))
	}
	return bot, roles
}

type granting struct {
	name  string
	roles string
	wish  rules.Wish
	want  rules.Grant
	field string // of the refusal, in place of a grant
}

func checkGrants(t *testing.T, tests []granting) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bot, roles := team(t, tt.roles)
			got, err := bot.Grant(roles, tt.wish)
			if tt.field != "" {
				not, ok := errors.AsType[*rules.NotPermittedError](err)
				if !ok || got != nil || not.Field != tt.field || not.Message == "" {
					t.Fatalf("got %+v, %v; want a refusal about %s", got, err, tt.field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Extensions) == 0 {
				got.Extensions = nil
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSSHGrants(t *testing.T) {
	ssh := rules.Wish{Type: "ssh"}
	of := func(roles ...string) rules.Wish { return rules.Wish{Type: "ssh", Roles: roles} }
	list := func(s ...string) []string { return s }
	checkGrants(t, []granting{
		{"one login", "a: {allow: {logins: [deploy]}}", ssh, rules.Grant{Roles: list("a"), Principals: list("deploy")}, ""},
		{"union of roles, sorted, once each", "b: {allow: {logins: [ops, deploy]}}\na: {allow: {logins: [deploy, backup]}}", ssh,
			rules.Grant{Roles: list("b", "a"), Principals: list("backup", "deploy", "ops")}, ""},
		{"only the roles asked for", "a: {allow: {logins: [x]}}\nb: {allow: {logins: [y]}}", of("b"), rules.Grant{Roles: list("b"), Principals: list("y")}, ""},
		{"template", "a: {allow: {logins: ['{{internal.logins}}']}}", ssh, rules.Grant{Roles: list("a"), Principals: list("deploy", "ops")}, ""},
		{"template of the other source", "a: {allow: {logins: ['{{external.logins}}']}}", ssh, rules.Grant{Roles: list("a"), Principals: list("deploy", "ops")}, ""},
		{"template's values that are no logins grant nothing", "a: {allow: {logins: ['{{internal.mixed}}']}}", ssh, rules.Grant{Roles: list("a"), Principals: list("fine")}, ""},
		{"template of an unknown trait beside a login", "a: {allow: {logins: ['{{internal.who}}', x]}}", ssh, rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"deny of the same role", "a: {allow: {logins: [x, y]}, deny: {logins: [y]}}", ssh, rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"deny of another role", "a: {allow: {logins: [x, y]}}\nb: {deny: {logins: [y]}}", ssh, rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"deny of a role that was not asked for", "a: {allow: {logins: [x, y]}}\nb: {deny: {logins: [y]}}", of("a"), rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"deny after templates", "a: {allow: {logins: ['{{internal.logins}}']}, deny: {logins: [ops]}}", ssh, rules.Grant{Roles: list("a"), Principals: list("deploy")}, ""},

		{"no roles", "", ssh, rules.Grant{}, "logins"},
		{"roles without logins", "a: {allow: {db_users: [x]}}", ssh, rules.Grant{}, "logins"},
		{"only an unknown trait", "a: {allow: {logins: ['{{internal.who}}']}}", ssh, rules.Grant{}, "logins"},
		{"only a trait without values", "a: {allow: {logins: ['{{internal.none}}']}}", ssh, rules.Grant{}, "logins"},
		{"everything is denied", "a: {allow: {logins: [x]}}\nb: {deny: {logins: [x]}}", ssh, rules.Grant{}, "logins"},
		{"logins in another role than asked for", "a: {allow: {logins: [x]}}\nb: {}", of("b"), rules.Grant{}, "logins"},
		{"role that the bot does not have", "a: {allow: {logins: [x]}}", of("admin"), rules.Grant{}, "roles"},
		{"role that the bot does not have beside one that it has", "a: {allow: {logins: [x]}}", of("a", "admin"), rules.Grant{}, "roles"},
		{"more logins than OpenSSH takes", "a: {allow: {logins: [" + numbered("u", 257) + "]}}", ssh, rules.Grant{}, "logins"},
	})
}

func TestSSHOptions(t *testing.T) {
	ssh := rules.Wish{Type: "ssh"}
	list := func(s ...string) []string { return s }
	const all = "permit_pty: true, port_forwarding: true, agent_forwarding: true, x11_forwarding: true"
	extension := func(value string) string {
		return "cert_extensions: [{type: ssh, mode: extension, name: login@github.com, value: " + value + "}]"
	}
	checkGrants(t, []granting{
		{"all options of one role", "a: {allow: {logins: [x]}, options: {" + all + "}}", ssh, rules.Grant{Roles: list("a"), Principals: list("x"),
			Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": "", "permit-agent-forwarding": "", "permit-X11-forwarding": ""}}, ""},
		{"options that both roles have", "a: {allow: {logins: [x]}, options: {" + all + "}}\nb: {allow: {logins: [y]}, options: {permit_pty: true}}", ssh,
			rules.Grant{Roles: list("a", "b"), Principals: list("x", "y"), Extensions: map[string]string{"permit-pty": ""}}, ""},
		{"options of a role without logins do not count", "a: {allow: {logins: [x]}}\nb: {options: {" + all + "}}", ssh, rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"a role without logins takes none away", "a: {allow: {logins: [x]}, options: {permit_pty: true}}\nb: {}", ssh,
			rules.Grant{Roles: list("a"), Principals: list("x"), Extensions: map[string]string{"permit-pty": ""}}, ""},
		{"a role whose logins are all denied does not count", "a: {allow: {logins: [x]}}\nb: {allow: {logins: [y]}, deny: {logins: [y]}, options: {" + extension("o") + "}}", ssh, rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"pinned by one of two roles", "a: {allow: {logins: [x]}}\nb: {allow: {logins: [y]}, options: {pin_source_ip: true}}", ssh,
			rules.Grant{Roles: list("a", "b"), Principals: list("x", "y"), PinSourceIP: true}, ""},
		{"pinned by the first of two roles", "a: {allow: {logins: [x]}, options: {pin_source_ip: true}}\nb: {allow: {logins: [y]}}", ssh,
			rules.Grant{Roles: list("a", "b"), Principals: list("x", "y"), PinSourceIP: true}, ""},
		{"pinned by a role without logins", "a: {allow: {logins: [x]}}\nb: {options: {pin_source_ip: true}}", ssh,
			rules.Grant{Roles: list("a"), Principals: list("x"), PinSourceIP: true}, ""},
		{"not pinned by a role that was not asked for", "a: {allow: {logins: [x]}}\nb: {allow: {logins: [y]}, options: {pin_source_ip: true}}", rules.Wish{Type: "ssh", Roles: list("a")},
			rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"equal commands", "a: {allow: {logins: [x]}, options: {force_command: run}}\nb: {allow: {logins: [y]}, options: {force_command: run}}", ssh,
			rules.Grant{Roles: list("a", "b"), Principals: list("x", "y"), ForceCommand: "run"}, ""},
		{"command of a role without logins", "a: {allow: {logins: [x]}}\nb: {options: {force_command: run}}", ssh, rules.Grant{Roles: list("a"), Principals: list("x")}, ""},
		{"unequal commands", "a: {allow: {logins: [x]}, options: {force_command: run}}\nb: {allow: {logins: [y]}, options: {force_command: walk}}", ssh, rules.Grant{}, "roles"},
		{"a command and none", "a: {allow: {logins: [x]}, options: {force_command: run}}\nb: {allow: {logins: [y]}}", ssh, rules.Grant{}, "roles"},
		{"none and a command", "a: {allow: {logins: [x]}}\nb: {allow: {logins: [y]}, options: {force_command: run}}", ssh, rules.Grant{}, "roles"},
		{"unequal commands, but one role asked for", "a: {allow: {logins: [x]}, options: {force_command: run}}\nb: {allow: {logins: [y]}}", rules.Wish{Type: "ssh", Roles: list("a")},
			rules.Grant{Roles: list("a"), Principals: list("x"), ForceCommand: "run"}, ""},
		{"equal extensions", "a: {allow: {logins: [x]}, options: {" + extension("o") + "}}\nb: {allow: {logins: [y]}, options: {" + extension("o") + "}}", ssh,
			rules.Grant{Roles: list("a", "b"), Principals: list("x", "y"), Extensions: map[string]string{"login@github.com": "o"}}, ""},
		{"extension of one role", "a: {allow: {logins: [x]}, options: {" + extension("o") + "}}\nb: {allow: {logins: [y]}}", ssh,
			rules.Grant{Roles: list("a", "b"), Principals: list("x", "y"), Extensions: map[string]string{"login@github.com": "o"}}, ""},
		{"conflicting extensions", "a: {allow: {logins: [x]}, options: {" + extension("o") + "}}\nb: {allow: {logins: [y]}, options: {" + extension("p") + "}}", ssh, rules.Grant{}, "roles"},
	})
}

func TestX509AndJWTGrants(t *testing.T) {
	db := func(user, name string) rules.Wish {
		return rules.Wish{Type: "x509", Usage: "database", DBUser: user, DBName: name}
	}
	app := func(name string) rules.Wish { return rules.Wish{Type: "x509", Usage: "application", App: name} }
	kube := func(user string) rules.Wish {
		return rules.Wish{Type: "x509", Usage: "kubernetes", KubernetesUser: user}
	}
	jwt := func(audience string) rules.Wish { return rules.Wish{Type: "jwt", Audience: audience} }
	by := func(role string, groups ...string) rules.Grant {
		return rules.Grant{Roles: []string{role}, KubernetesGroups: groups}
	}
	const dbs = "a: {allow: {db_users: [app], db_names: [orders]}}\nb: {allow: {db_users: [admin], db_names: [test]}}"
	const kubes = "a: {allow: {kubernetes_users: [ci], kubernetes_groups: [z, deployers]}}\nb: {allow: {kubernetes_users: [ci, ops], kubernetes_groups: [admins, '{{internal.groups}}']}, deny: {kubernetes_groups: ['system:masters']}}"
	checkGrants(t, []granting{
		{"identity needs no role", "", rules.Wish{Type: "x509", Usage: "identity"}, rules.Grant{}, ""},
		{"identity with roles", "a: {options: {pin_source_ip: true}}", rules.Wish{Type: "x509", Usage: "identity"}, rules.Grant{}, ""},
		{"identity with a role that the bot does not have", "a: {}", rules.Wish{Type: "x509", Usage: "identity", Roles: []string{"b"}}, rules.Grant{}, "roles"},

		{"database user", dbs, db("app", ""), by("a"), ""},
		{"database user and name", dbs, db("app", "orders"), by("a"), ""},
		{"of the second role", dbs, db("admin", "test"), by("b"), ""},
		{"user of one role and name of another", dbs, db("admin", "orders"), rules.Grant{}, "db_user"},
		{"user of another case", dbs, db("APP", "orders"), rules.Grant{}, "db_user"},
		{"user that nobody has", dbs, db("postgres", ""), rules.Grant{}, "db_user"},
		{"no user", dbs, db("", "orders"), rules.Grant{}, "db_user"},
		{"name where a role grants none", "a: {allow: {db_users: [app]}}", db("app", "orders"), rules.Grant{}, "db_user"},
		{"the template itself", "a: {allow: {db_users: ['{{internal.x}}']}}", db("{{internal.x}}", ""), rules.Grant{}, "db_user"},
		{"template in a trait's value", "a: {allow: {db_users: ['{{internal.mixed}}']}}", db("{{internal.logins}}", ""), rules.Grant{}, "db_user"},
		{"opened template in a trait's value", "a: {allow: {db_users: ['{{internal.mixed}}']}}", db("half{{", ""), rules.Grant{}, "db_user"},
		{"closed template in a trait's value", "a: {allow: {db_users: ['{{internal.mixed}}']}}", db("}}half", ""), rules.Grant{}, "db_user"},
		{"trait's value", "a: {allow: {db_users: ['{{internal.mixed}}']}}", db("not fine", ""), by("a"), ""},
		{"groups are for Kubernetes and JWTs alone", "a: {allow: {db_users: [app], kubernetes_groups: [admins]}}", db("app", ""), by("a"), ""},
		{"groups are not for applications", "a: {allow: {app_names: [grafana], kubernetes_groups: [admins]}}", rules.Wish{Type: "x509", Usage: "application", App: "grafana"}, by("a"), ""},
		{"trait's value with a star", "a: {allow: {db_users: ['{{internal.mixed}}']}}", db("*", ""), rules.Grant{}, "db_user"},
		{"user that another role denies", dbs + "\nc: {deny: {db_users: [app]}}", db("app", "orders"), rules.Grant{}, "db_user"},
		{"name that another role denies", dbs + "\nc: {deny: {db_names: [orders]}}", db("app", "orders"), rules.Grant{}, "db_user"},
		{"user that a role denies which was not asked for", dbs + "\nc: {deny: {db_users: [app]}}",
			rules.Wish{Type: "x509", Usage: "database", DBUser: "app", Roles: []string{"a"}}, rules.Grant{}, "db_user"},
		{"user of a role that was not asked for", dbs,
			rules.Wish{Type: "x509", Usage: "database", DBUser: "app", Roles: []string{"b"}}, rules.Grant{}, "db_user"},

		{"application", "a: {allow: {app_names: [grafana]}}", app("grafana"), by("a"), ""},
		{"another application", "a: {allow: {app_names: [grafana]}}", app("vault"), rules.Grant{}, "app"},
		{"denied application", "a: {allow: {app_names: [grafana]}, deny: {app_names: [grafana]}}", app("grafana"), rules.Grant{}, "app"},
		{"no application", "a: {allow: {app_names: [grafana]}}", app(""), rules.Grant{}, "app"},

		{"Kubernetes user, with the groups of the first role alone", kubes, kube("ci"), by("a", "deployers", "z"), ""},
		{"Kubernetes user of the second role, without the denied group", kubes, kube("ops"), by("b", "admins", "deployers"), ""},
		{"Kubernetes user, with the groups of the role asked for", kubes,
			rules.Wish{Type: "x509", Usage: "kubernetes", KubernetesUser: "ci", Roles: []string{"b"}}, by("b", "admins", "deployers"), ""},
		{"Kubernetes user without groups", "a: {allow: {kubernetes_users: [ci]}}\nb: {allow: {kubernetes_groups: [admins]}}", kube("ci"), by("a"), ""},
		{"another Kubernetes user", kubes, kube("root"), rules.Grant{}, "kubernetes_user"},
		{"no Kubernetes user", kubes, kube(""), rules.Grant{}, "kubernetes_user"},

		{"JWT", "a: {allow: {jwt_audiences: ['https://v'], kubernetes_groups: [g]}}", jwt("https://v"), by("a", "g"), ""},
		{"JWT for another audience", "a: {allow: {jwt_audiences: ['https://v']}}", jwt("https://v/"), rules.Grant{}, "audience"},
		{"JWT without an audience", "a: {allow: {jwt_audiences: ['https://v']}}", jwt(""), rules.Grant{}, "audience"},

		{"unknown type", "a: {allow: {logins: [x]}}", rules.Wish{Type: "password"}, rules.Grant{}, "type"},
		{"no type", "a: {allow: {logins: [x]}}", rules.Wish{}, rules.Grant{}, "type"},
		{"unknown usage", "a: {allow: {logins: [x]}}", rules.Wish{Type: "x509", Usage: "server"}, rules.Grant{}, "usage"},
	})
}

// A certificate takes no more than 256 groups; it must not come to be signed, and fail then.
func TestTooManyGroups(t *testing.T) {
	groups := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("g%d", i)
		}
		return "ops: {allow: {kubernetes_users: [ci], kubernetes_groups: [" + strings.Join(all, ", ") + "]}}"
	}
	wish := rules.Wish{Type: "x509", Usage: "kubernetes", KubernetesUser: "ci"}
	bot, roles := team(t, groups(256))
	if got, err := bot.Grant(roles, wish); err != nil || len(got.KubernetesGroups) != 256 {
		t.Errorf("256 groups: %+v, %v", got, err)
	}
	bot, roles = team(t, groups(257))
	if _, err := bot.Grant(roles, wish); err == nil || !strings.Contains(err.Error(), "has 257 Kubernetes groups, and a certificate takes 256") {
		t.Errorf("257 groups: %v", err)
	}
}

// A role that is missing might have denied something.
func TestMissingRoleRefusesEverything(t *testing.T) {
	bot, roles := team(t, "a: {allow: {logins: [x]}}\nb: {deny: {logins: [x]}}")
	for _, there := range [][]*rules.Role{roles[:1], {roles[0], nil}, nil} {
		for _, wish := range []rules.Wish{{Type: "ssh"}, {Type: "ssh", Roles: []string{"a"}}, {Type: "x509", Usage: "identity"}} {
			got, err := bot.Grant(there, wish)
			if not, ok := errors.AsType[*rules.NotPermittedError](err); !ok || not.Field != "roles" {
				t.Errorf("%v with %d of 2 roles: %+v, %v", wish, len(there), got, err)
			}
		}
	}
	stranger := parseOne[*rules.Role](t, "{kind: role, version: v7, metadata: {name: c}, spec: {allow: {logins: [root]}}}")
	if _, err := bot.Grant(append(roles, stranger), rules.Wish{Type: "ssh"}); err == nil {
		t.Error("a role that the bot does not name granted a login")
	}
}

// A refusal is printed in the build log of whoever asks.
func TestRefusalsTellNoOtherValues(t *testing.T) {
	bot, roles := team(t, `secret-role: {allow: {logins: [hidden1], db_users: [hidden2], db_names: [hidden3], app_names: [hidden4], kubernetes_users: [hidden5], jwt_audiences: [hidden6]}, options: {force_command: hidden7}}
secret-other: {allow: {logins: [hidden8]}, options: {force_command: hidden9}}`)
	for _, wish := range []rules.Wish{
		{Type: "ssh"}, {Type: "ssh", Roles: []string{"mine"}}, {Type: "jwt", Audience: "mine"},
		{Type: "x509", Usage: "database", DBUser: "mine", DBName: "mine"}, {Type: "x509", Usage: "application", App: "mine"},
		{Type: "x509", Usage: "kubernetes", KubernetesUser: "mine"}, {Type: "mine"}, {Type: "x509", Usage: "mine"},
	} {
		_, err := bot.Grant(roles, wish)
		if err == nil || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", wish, err)
		}
		if wish.Type == "x509" && wish.Usage == "database" {
			wish.DBUser = ""
			if _, err := bot.Grant(roles, wish); err == nil || !strings.Contains(err.Error(), "is missing") {
				t.Errorf("without a user: %v", err)
			}
		}
		if named := strings.Contains(fmt.Sprintf("%+v", wish), "mine"); named && !strings.Contains(err.Error(), `"mine"`) {
			t.Errorf("the refusal does not say what was asked for: %v", err)
		}
	}
}

// TestThePrincipalsThatACertificateTakes are 256, of 16 KiB together.
func TestThePrincipalsThatACertificateTakes(t *testing.T) {
	long := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("%s%03d", strings.Repeat("x", 253), i)
		}
		return strings.Join(all, ",")
	}
	for name, tc := range map[string]struct {
		logins string
		want   int // principals
		told   string
	}{
		"256":           {numbered("u", 256), 256, ""},
		"257":           {numbered("u", 257), 0, "make 257 principals, and an SSH certificate takes 256"},
		"16384 bytes":   {long(64), 64, ""},
		"one byte more": {long(64) + ",y", 0, "make principals of 16385 bytes, and an SSH certificate takes 16384"},
	} {
		bot, roles := team(t, "a: {allow: {logins: ["+tc.logins+"]}}")
		got, err := bot.Grant(roles, rules.Wish{Type: "ssh"})
		if tc.told != "" && (err == nil || !strings.Contains(err.Error(), tc.told)) || tc.told == "" && (err != nil || len(got.Principals) != tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.told)
		}
	}
}
