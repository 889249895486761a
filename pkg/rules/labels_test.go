package rules_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestNodeLabelsBecomePrincipals(t *testing.T) {
	ssh := rules.Wish{Type: "ssh"}
	list := func(s ...string) []string { return s }
	grant := func(roles []string, principals ...string) rules.Grant {
		return rules.Grant{Roles: roles, Principals: principals}
	}
	checkGrants(t, []granting{
		{"one label", "a: {allow: {logins: [deploy], node_labels: {env: prod}}}", ssh, grant(list("a"), "deploy@env=prod"), ""},
		{"a list of one value", "a: {allow: {logins: [deploy], node_labels: {env: [prod]}}}", ssh, grant(list("a"), "deploy@env=prod"), ""},
		{"all labels in one principal, sorted", "a: {allow: {logins: [deploy], node_labels: {tier: web, env: prod}}}", ssh,
			grant(list("a"), "deploy@env=prod,tier=web"), ""},
		{"a principal for each value", "a: {allow: {logins: [deploy], node_labels: {env: [staging, qa]}}}", ssh,
			grant(list("a"), "deploy@env=qa", "deploy@env=staging"), ""},
		{"a principal for each combination and login", "a: {allow: {logins: [x, y], node_labels: {env: [a, b], tier: [web, db]}}}", ssh,
			grant(list("a"), "x@env=a,tier=db", "x@env=a,tier=web", "x@env=b,tier=db", "x@env=b,tier=web",
				"y@env=a,tier=db", "y@env=a,tier=web", "y@env=b,tier=db", "y@env=b,tier=web"), ""},
		{"any host", "a: {allow: {logins: [deploy], node_labels: {'*': '*'}}}", ssh, grant(list("a"), "deploy"), ""},
		{"any host, as a list", "a: {allow: {logins: [deploy], node_labels: {'*': ['*']}}}", ssh, grant(list("a"), "deploy"), ""},
		{"each role's logins on that role's hosts", "a: {allow: {logins: [deploy], node_labels: {env: prod}}}\nb: {allow: {logins: [audit], node_labels: {env: staging}}}", ssh,
			grant(list("a", "b"), "audit@env=staging", "deploy@env=prod"), ""},
		{"one login on the hosts of both roles", "a: {allow: {logins: [deploy], node_labels: {env: prod}}}\nb: {allow: {logins: [deploy], node_labels: {tier: web}}}", ssh,
			grant(list("a", "b"), "deploy@env=prod", "deploy@tier=web"), ""},
		{"one login on some hosts and on all", "a: {allow: {logins: [deploy], node_labels: {env: prod}}}\nb: {allow: {logins: [deploy]}}", ssh,
			grant(list("a", "b"), "deploy", "deploy@env=prod"), ""},
		{"only the role asked for", "a: {allow: {logins: [deploy], node_labels: {env: prod}}}\nb: {allow: {logins: [deploy]}}", rules.Wish{Type: "ssh", Roles: list("a")},
			grant(list("a"), "deploy@env=prod"), ""},
		{"a template's logins", "a: {allow: {logins: ['{{internal.logins}}'], node_labels: {env: prod}}}", ssh, grant(list("a"), "deploy@env=prod", "ops@env=prod"), ""},
		{"a trait cannot bring labels of its own", "a: {allow: {logins: ['{{internal.forged}}', x], node_labels: {env: staging}}}", ssh, grant(list("a"), "x@env=staging"), ""},
		{"a denied login is denied on every host", "a: {allow: {logins: [x, y], node_labels: {env: prod}}}\nb: {deny: {logins: [y]}}", ssh, grant(list("a"), "x@env=prod"), ""},
		{"labels of a role without logins limit no other", "a: {allow: {node_labels: {env: prod}}}\nb: {allow: {logins: [x]}}", ssh, grant(list("b"), "x"), ""},
		{"options hold if every role has them that grants a login, wherever", "a: {allow: {logins: [x], node_labels: {env: prod}}, options: {permit_pty: true}}\nb: {allow: {logins: [x], node_labels: {env: qa}}}", ssh,
			grant(list("a", "b"), "x@env=prod", "x@env=qa"), ""},

		{"no login to limit", "a: {allow: {node_labels: {env: prod}}}", ssh, rules.Grant{}, "logins"},
		{"more principals than OpenSSH takes", "a: {allow: {logins: [a, b, c, d, e], node_labels: {env: [" + numbered("e", 64) + "]}}}", ssh, rules.Grant{}, "logins"},
		{"principals larger than a record takes", "a: {allow: {logins: [" + numbered(strings.Repeat("x", 200), 100) + "]}}", ssh, rules.Grant{}, "logins"},
	})
}

func TestNodeLabelsKeepTheirForm(t *testing.T) {
	const role = "{kind: role, version: v7, metadata: {name: r}, spec: {allow: {logins: [x], node_labels: {tier: web, env: [prod, qa], aws/Name: 'a.b:c+d-1_2'}}}}"
	r := parseOne[*rules.Role](t, role)
	sameAfterAll(t, r)
	want := rules.NodeLabels{"aws/Name": {"a.b:c+d-1_2"}, "env": {"prod", "qa"}, "tier": {"web"}}
	if diff := cmp.Diff(want, r.Allow.NodeLabels); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, want := r.Allow.Hosts(), "aws/Name=a.b:c+d-1_2,env=prod|qa,tier=web"; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
	encoded, err := rules.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, edits := range map[string][2]string{
		// Each of these would read as any host.
		"null":          {`{"aws/Name":["a.b:c+d-1_2"],"env":["prod","qa"],"tier":["web"]}`, `null`},
		"no labels":     {`{"aws/Name":["a.b:c+d-1_2"],"env":["prod","qa"],"tier":["web"]}`, `{}`},
		"no values":     {`["prod","qa"]`, `[]`},
		"null values":   {`["prod","qa"]`, `null`},
		"empty value":   {`"qa"`, `""`},
		"null value":    {`"qa"`, `null`},
		"label twice":   {`"tier":["web"]`, `"tier":["web"],"tier":["db"]`},
		"one string":    {`["web"]`, `"web"`},
		"any value":     {`["web"]`, `["*"]`},
		"under deny":    {`"node_labels"`, `"db_users":["x"]},"deny":{"node_labels"`},
		"another login": {`["web"]`, `["web","x@env=prod"]`},
	} {
		if r, err := rules.Decode([]byte(edit(t, string(encoded), edits[0], edits[1]))); err == nil {
			t.Errorf("%s: decoded as %+v", name, r)
		}
	}
}

// What sshd could not hold to, or could take for something else, is refused by name.
func TestNodeLabelsThatCannotBeHeldTo(t *testing.T) {
	allow := func(s string) string { return "    node_labels: " + s + "\n  deny:\n" }
	const field = "spec.allow.node_labels"
	var long []string
	for i := range 10 {
		long = append(long, fmt.Sprintf("n%d: %s", i, strings.Repeat("v", 60)))
	}
	tests := []invalid{
		{"any value of a label", roleYAML, "  deny:\n", allow("{env: '*'}"), field + ".env", "is a pattern, and a certificate can only name what a host has exactly; list the values"},
		{"part of a value", roleYAML, "  deny:\n", allow("{env: 'prod-*'}"), field + ".env", "is a pattern"},
		{"regular expression", roleYAML, "  deny:\n", allow("{env: '^prod|qa$'}"), field + ".env", "is a pattern"},
		{"pattern among values", roleYAML, "  deny:\n", allow("{env: [prod, 'q*']}"), field + ".env[1]", "is a pattern"},
		{"template", roleYAML, "  deny:\n", allow("{env: '{{internal.env}}'}"), field + ".env", "is a template"},
		{"every host and some", roleYAML, "  deny:\n", allow("{'*': '*', env: prod}"), field, "is not '*': '*' alone"},
		{"every label of one value", roleYAML, "  deny:\n", allow("{'*': prod}"), field, "is not '*': '*' alone"},
		{"every host twice", roleYAML, "  deny:\n", allow("{'*': ['*', prod]}"), field, "is not '*': '*' alone"},
		{"no label", roleYAML, "  deny:\n", allow("{}"), field, "names no label"},
		{"nothing", roleYAML, "  deny:\n", allow(""), field, "has no value"},
		{"a list", roleYAML, "  deny:\n", allow("[env]"), field, "is a list; write fields"},
		{"no values", roleYAML, "  deny:\n", allow("{env: []}"), field + ".env", "has no values"},
		{"empty value", roleYAML, "  deny:\n", allow("{env: ''}"), field + ".env", "is empty"},
		{"number", roleYAML, "  deny:\n", allow("{rack: 7}"), field + ".rack", `write "7", with the quotes`},
		{"value twice", roleYAML, "  deny:\n", allow("{env: [a, a]}"), field + ".env[1]", "is there twice"},
		{"label within a value", roleYAML, "  deny:\n", allow("{env: 'prod,tier=web'}"), field + ".env", "is no label that a certificate can name"},
		{"login within a value", roleYAML, "  deny:\n", allow("{env: prod@root}"), field + ".env", "is no label that a certificate can name"},
		{"value with a space", roleYAML, "  deny:\n", allow("{env: 'prod staging'}"), field + ".env", "is no label that a certificate can name"},
		{"value with a comment", roleYAML, "  deny:\n", allow("{env: 'prod#x'}"), field + ".env", "is no label that a certificate can name"},
		{"value with a quote", roleYAML, "  deny:\n", allow(`{env: "a\"b"}`), field + ".env", "is no label that a certificate can name"},
		{"value of two lines", roleYAML, "  deny:\n", allow(`{env: "a\nroot"}`), field + ".env", "is no label that a certificate can name"},
		{"value that is not ASCII", roleYAML, "  deny:\n", allow("{env: größe}"), field + ".env", "is no label that a certificate can name"},
		{"value that begins with a hyphen", roleYAML, "  deny:\n", allow("{env: -prod}"), field + ".env", "is no label that a certificate can name"},
		{"name with =", roleYAML, "  deny:\n", allow("{env=prod: x}"), field, "is no label that a certificate can name"},
		{"name with a pattern", roleYAML, "  deny:\n", allow("{'env*': x}"), field, "the name of a label"},
		{"long value", roleYAML, "  deny:\n", allow("{env: " + strings.Repeat("x", 65) + "}"), field + ".env", "at most 64"},
		{"long combination", roleYAML, "  deny:\n", allow("{" + strings.Join(long, ", ") + "}"), field, "characters in one combination"},
		{"many labels", roleYAML, "  deny:\n", allow("{a: x, b: x, c: x, d: x, e: x, f: x, g: x, h: x, i: x, j: x, k: x}"), field, "has 11 labels; at most 10"},
		{"many values", roleYAML, "  deny:\n", allow("{env: [" + numbered("v", 65) + "]}"), field + ".env", "has 65 values; at most 64"},
		{"many combinations", roleYAML, "  deny:\n", allow("{a: [" + numbered("v", 9) + "], b: [" + numbered("v", 8) + "]}"), field, "more than 64 combinations"},
		{"under deny", roleYAML, "  deny:\n", "  deny:\n    node_labels: {env: prod}\n", "spec.deny.node_labels", "denies access to some hosts"},
		{"every host under deny", roleYAML, "  deny:\n", "  deny:\n    node_labels: {'*': '*'}\n", "spec.deny.node_labels", "denies access to some hosts"},
		{"expression", roleYAML, "  deny:\n", "    node_labels_expression: 'true'\n  deny:\n", "spec.allow.node_labels_expression", "narrows access"},
	}
	checkInvalid(t, tests)
}

func TestLintOfNodeLabels(t *testing.T) {
	bot := "\n---\n{kind: bot, version: v1, metadata: {name: b}, spec: {roles: [narrow, wide], traits: [{name: logins, values: [x]}]}}"
	role := func(name, allow string) string {
		return "---\n{kind: role, version: v7, metadata: {name: " + name + "}, spec: {allow: {" + allow + "}}}\n"
	}
	for name, tt := range map[string]struct{ document, field, message string }{
		"a role that grants the login everywhere":  {role("narrow", "logins: [x], node_labels: {env: qa}") + role("wide", "logins: [x]") + bot, "spec.roles[0]", "do not limit the login x, which role wide grants on every host"},
		"a trait that grants the login everywhere": {role("narrow", "logins: [x], node_labels: {env: qa}") + role("wide", "logins: ['{{internal.logins}}']") + bot, "spec.roles[0]", "do not limit the login x, which role wide grants on every host"},
		"a login everywhere that a role denies":    {role("narrow", "logins: [x, y], node_labels: {env: qa}") + role("wide", "logins: [x]}, deny: {logins: [x]") + bot, "", ""},
		"another login everywhere":                 {role("narrow", "logins: [x], node_labels: {env: qa}") + role("wide", "logins: [y]") + bot, "", ""},
		"labels in both":                           {role("narrow", "logins: [x], node_labels: {env: qa}") + role("wide", "logins: [x], node_labels: {env: prod}") + bot, "", ""},
		"labels without logins":                    {role("narrow", "db_users: [x], node_labels: {env: qa}") + role("wide", "logins: [x]") + bot, "spec.allow.node_labels", "the role grants none"},
	} {
		t.Run(name, func(t *testing.T) {
			found := rules.Lint(parse(t, tt.document))
			switch {
			case tt.field == "" && len(found) > 0:
				t.Errorf("found %+v", found)
			case tt.field != "" && (len(found) != 1 || found[0].Field != tt.field || !strings.Contains(found[0].Message, tt.message)):
				t.Errorf("found %+v, want %s: %s", found, tt.field, tt.message)
			}
		})
	}
}

func TestParseLabels(t *testing.T) {
	for s, want := range map[string]map[string]string{
		"":                  {},
		"env=prod":          {"env": "prod"},
		"tier=web,env=prod": {"env": "prod", "tier": "web"},
		"aws/Name=a:b+c.d":  {"aws/Name": "a:b+c.d"},
	} {
		got, err := rules.ParseLabels(s)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"env":              "write NAME=VALUE",
		"env=":             "is empty",
		"=prod":            "is empty",
		"env=prod,":        "write NAME=VALUE",
		"env=prod, tier=w": `" tier" is no label`,
		"env=a=b":          `"a=b" is no label`,
		"env=a@b":          "is no label",
		"env=prod\nroot":   "is no label",
		"env=*":            "is a pattern",
		"env=a,env=b":      "label env is there twice",
		"env=a,env=a":      "label env is there twice",
		"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1": "11 labels make 2048 principals a login; give at most 10",
	} {
		if got, err := rules.ParseLabels(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %s", s, got, err, want)
		}
	}
}

func TestCheckLogin(t *testing.T) {
	if err := rules.CheckLogin("deploy"); err != nil {
		t.Error(err)
	}
	if err := rules.CheckLogin("*"); err == nil || !strings.Contains(err.Error(), `login "*" is not a login`) {
		t.Errorf("got %v", err)
	}
}

// TestTheLimitsOfLabels holds the longest label, the most labels and the longest of all together.
func TestTheLimitsOfLabels(t *testing.T) {
	v := strings.Repeat("v", 64)
	seven := "a=" + v + ",b=" + v + ",c=" + v + ",d=" + v + ",e=" + v + ",f=" + v + ",g=" + v
	for s, want := range map[string]string{
		v + "=" + v:    "",
		v + "v=v":      "has 65 characters; at most 64",
		"v=" + v + "v": "has 65 characters; at most 64",
		"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1": "",
		seven + ",h=" + v[:41]:                    "",
		seven + ",h=" + v[:42]:                    "the labels have 513 characters together; at most 512",
		"a={{b}}":                                 "is a template",
		"a=b}}":                                   "is a template",
		"a={{b":                                   "is a template",
		"a=^b":                                    "is a pattern",
		"a=b$":                                    "is a pattern",
	} {
		if _, err := rules.ParseLabels(s); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
	}
}

func TestHostPrincipals(t *testing.T) {
	got := rules.HostPrincipals("deploy", map[string]string{"tier": "web", "env": "prod", "az": "a"})
	want := []string{"deploy", "deploy@az=a", "deploy@az=a,env=prod", "deploy@az=a,env=prod,tier=web", "deploy@az=a,tier=web",
		"deploy@env=prod", "deploy@env=prod,tier=web", "deploy@tier=web"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := len(rules.HostPrincipals("x", map[string]string{"a": "", "b": "", "c": "", "d": "", "e": "", "f": "", "g": "", "h": "", "i": "", "j": ""})); n != 1024 {
		t.Errorf("%d principals of ten labels, want 1024", n)
	}
}

// A login is let in on a host exactly if a role grants it there, by the meaning of
// labels and not by how principals are written.
func TestPrincipalsMeanWhatLabelsSay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names, values, logins := []string{"env", "tier", "a", "a.b"}, []string{"a", "b", "a.b"}, []string{"x", "y", "x@a", "a", "env"}
	some := func(list []string, least int) []string {
		picked := slices.Clone(list)
		r.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
		return picked[:least+r.IntN(len(list)-least)]
	}
	permitted, refused := 0, 0
	for range 3000 {
		bot := &rules.Bot{Metadata: rules.Metadata{Name: "b"}}
		var roles []*rules.Role
		for i := range 1 + r.IntN(3) {
			role := &rules.Role{Metadata: rules.Metadata{Name: fmt.Sprint("r", i)}, Version: "v7", Allow: rules.Conditions{Logins: some(logins, 1)}}
			for _, name := range some(names, 0) {
				if role.Allow.NodeLabels == nil {
					role.Allow.NodeLabels = map[string][]string{}
				}
				role.Allow.NodeLabels[name] = some(values, 1)
			}
			if _, err := rules.Encode(role); err != nil {
				t.Fatal(err)
			}
			roles, bot.Roles = append(roles, role), append(bot.Roles, role.Name())
		}
		granted, err := bot.Grant(roles, rules.Wish{Type: "ssh"})
		if err != nil {
			t.Fatal(err)
		}
		host := map[string]string{}
		for _, name := range some(names, 0) {
			host[name] = values[r.IntN(len(values))]
		}
		for _, login := range logins {
			listed := rules.HostPrincipals(login, host)
			got := slices.ContainsFunc(granted.Principals, func(p string) bool { return slices.Contains(listed, p) })
			want := slices.ContainsFunc(roles, func(role *rules.Role) bool { return holds(role, login, host) })
			if got != want {
				t.Fatalf("login %s on a host %v: let in %t, want %t\nprincipals %q\nlisted %q", login, host, got, want, granted.Principals, listed)
			}
			if want {
				permitted++
			} else {
				refused++
			}
		}
	}
	if permitted < 1000 || refused < 1000 {
		t.Errorf("%d permitted and %d refused: that is no test of both", permitted, refused)
	}
}

// holds is what a role with node_labels means: AND over labels, OR over values.
func holds(role *rules.Role, login string, host map[string]string) bool {
	for name, values := range role.Allow.NodeLabels {
		if !slices.Contains(values, host[name]) {
			return false
		}
	}
	return slices.Contains(role.Allow.Logins, login)
}

// FuzzLabels looks for labels of a host by which a principal would say something else.
func FuzzLabels(f *testing.F) {
	requireSeeds(f, "FuzzLabels")
	f.Fuzz(func(t *testing.T, s, login string) {
		labels, err := rules.ParseLabels(s)
		if err != nil || rules.CheckLogin(login) != nil || len(labels) > 6 {
			return
		}
		again, err := rules.ParseLabels(rules.FormatLabels(labels))
		if err != nil || !maps.Equal(labels, again) {
			t.Fatalf("%q is %v, and then %v, %v", s, labels, again, err)
		}
		list := rules.HostPrincipals(login, labels)
		if n := len(slices.Compact(slices.Clone(list))); n != 1<<len(labels) {
			t.Errorf("%d different principals of %d labels", n, len(labels))
		}
		for _, p := range list {
			if p != login && rules.CheckLogin(p) == nil {
				t.Errorf("%q, a login with labels, could be a login", p)
			}
			if strings.ContainsAny(p, " \t\r\n\"#*?'\\") {
				t.Errorf("%q is not one word to sshd", p)
			}
			// Read from its end: what follows the last @ is labels, the rest the login.
			if i := strings.LastIndexByte(p, '@'); p != login {
				if got, err := rules.ParseLabels(p[i+1:]); p[:i] != login || err != nil || !subset(got, labels) {
					t.Errorf("%q reads as login %q and labels %v, %v", p, p[:i], got, err)
				}
			}
		}
	})
}

func subset(part, whole map[string]string) bool {
	for name, value := range part {
		if got, ok := whole[name]; !ok || got != value {
			return false
		}
	}
	return len(part) > 0
}

// No login that can be written, in a role or in a trait, is a principal with labels.
func TestLoginsAreNoPrincipalsWithLabels(t *testing.T) {
	for _, p := range []string{"deploy@env=prod", "deploy@a=1,b=2", "x@y@env=prod"} {
		if rules.CheckLogin(p) == nil {
			t.Errorf("%s is a login", p)
		}
		role := &rules.Role{Metadata: rules.Metadata{Name: "r"}, Version: "v7", Allow: rules.Conditions{Logins: []string{p}}}
		if _, err := rules.Encode(role); err == nil {
			t.Errorf("a role may have the login %s", p)
		}
		role.Allow.Logins = []string{"{{internal.logins}}"}
		bot := &rules.Bot{Metadata: rules.Metadata{Name: "b"}, Roles: []string{"r"}, Traits: []rules.Trait{{Name: "logins", Values: []string{p}}}}
		granted, err := bot.Grant([]*rules.Role{role}, rules.Wish{Type: "ssh"})
		if _, ok := errors.AsType[*rules.NotPermittedError](err); !ok {
			t.Errorf("a trait grants %+v, %v", granted, err)
		}
	}
}
