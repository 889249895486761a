package admin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestCasesTellWhatIsWrong(t *testing.T) {
	const head = "defaults: {token: t}\ncases:\n"
	tests := []struct{ name, file, want string }{
		{"nothing", "", "f.yaml:1: is empty"},
		{"only a comment", "# later\n", "f.yaml:1: is empty"},
		{"no cases", "defaults: {token: t}", "f.yaml:1: cases: is missing or empty"},
		{"not YAML", "cases: [", "f.yaml:1: is not YAML"},
		{"two documents", head + "  - {name: a, want: join}\n---\ncases: []\n", "several documents"},
		{"a list", "- cases\n", "write fields, one to a line"},
		{"a field that there is not", head + "  - {name: a, want: join, roles: [x]}", "f.yaml:3: cases[0].roles: is not a field here; the fields are name, token"},
		{"a field twice", head + "  - name: a\n    name: b\n    want: join\n", "f.yaml:4: cases[0].name: is there twice"},
		{"an anchor", head + "  - {name: &a x, want: join}", "has an anchor or an alias"},
		{"an anchor in a claim", head + "  - {name: a, want: join, claims: {x: &a y}}", "has an anchor or an alias"},
		{"a name that is a number", head + "  - {name: 1, want: join}", "cases[0].name: is not what belongs here; write text"},
		{"no name", head + "  - {want: join}", "f.yaml:3: cases[0].name: is missing"},
		{"the same name twice", head + "  - {name: a, want: join}\n  - {name: a, want: locked}", `f.yaml:4: cases[1].name: "a" is the name of the case on line 3`},
		{"no token rule", "cases: [{name: a, want: join}]", "cases[0].token: is missing"},
		{"nothing wanted", head + "  - {name: a}", "cases[0].want: is missing; write join, or the code"},
		{"something else wanted", head + "  - {name: a, want: refused}", `cases[0].want: "refused" is no outcome; write one of join, denied_by_rule`},
		{"a signature wanted", head + "  - {name: a, want: id_token_bad_signature}", "is no outcome"},
		{"grants of a refusal", head + "  - {name: a, want: locked, logins: [deploy]}", "wants a refusal, which has no bot"},
		{"a rule that is no number", head + "  - {name: a, want: join, rule: first}", "cases[0].rule: is not what belongs here; write a whole number"},
		{"a lifetime that is none", head + "  - {name: a, want: join, grants_ttl: soon}", `cases[0].grants_ttl: "soon" is not a duration`},
		{"a lifetime of nothing", head + "  - {name: a, want: join, ttl: 0s}", `cases[0].ttl: "0s" is not a duration`},
		{"a time that is none", head + "  - {name: a, want: join, at: tomorrow}", `cases[0].at: "tomorrow" is not a time`},
		{"a lifetime of half seconds", head + "  - {name: a, want: join, ttl: 1.5s}", `cases[0].ttl: "1.5s" is not a duration of whole seconds`},
		{"a token rule that nothing is called", head + "  - {name: a, want: token_not_found, token: My Rule}", `cases[0].token: "My Rule" is not a name`},
		{"a token rule that nothing is called, by default", "defaults: {token: My Rule}\ncases:\n  - {name: a, want: token_not_found}", `defaults.token: "My Rule" is not a name`},
		{"a bot that nothing is called", head + "  - {name: a, want: join, bot: Shop}", `cases[0].bot: "Shop" has capital letters; write "shop"`},
		{"a rule below the first", head + "  - {name: a, want: join, rule: -1}", "cases[0].rule: is less than 0"},
		{"a usage that there is not", head + "  - {name: a, want: not_permitted, credentials: [{type: x509, usage: databse, db_user: admin}]}", "cases[0].credentials[0]: usage must be identity, database"},
		{"no type", head + "  - {name: a, want: not_permitted, credentials: [{usage: database, db_user: admin}]}", "cases[0].credentials[0]: type must be ssh"},
		{"a field of another credential", head + "  - {name: a, want: not_permitted, credentials: [{type: ssh}, {type: ssh, db_user: admin}]}", "cases[0].credentials[1]: db_user has no meaning for ssh"},
		{"a field that is missing", head + "  - {name: a, want: not_permitted, credentials: [{type: x509, usage: database}]}", "cases[0].credentials[0]: db_user is missing"},
		{"roles that are none", head + "  - {name: a, want: not_permitted, credentials: [{type: ssh, roles: []}]}", "cases[0].credentials[0]: roles is empty"},
		{"more credentials than a join takes", head + "  - {name: a, want: join, credentials: [" + strings.Repeat("{type: ssh}, ", 17) + "]}", "cases[0].credentials: has 17 entries"},
		{"claims that are a list", head + "  - {name: a, want: join, claims: [x]}", "cases[0].claims: is not what belongs here; write claims"},
		{"a claim that YAML would change", head + "  - {name: a, want: join, claims: {branchName: 2020-01-01}}", "cases[0].claims.branchName: 2020-01-01 cannot be a claim; write it in quotes"},
		{"a claim that JSON has not", head + "  - {name: a, want: join, claims: {exp: .inf}}", "cases[0].claims.exp: .inf cannot be a claim"},
		{"a claim twice", head + "  - {name: a, want: join, claims: {x: 1, x: 2}}", "cases[0].claims.x: is there twice"},
		{"logins that are no list", head + "  - {name: a, want: join, logins: deploy}", "cases[0].logins: is not what belongs here; write a list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := admin.ParseCases("f.yaml", []byte(tt.file))
			if found, ok := errors.AsType[rules.Errors](err); !ok || !strings.Contains(found.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestCasesReadEveryField(t *testing.T) {
	f, err := admin.ParseCases("f.yaml", []byte(`
defaults: {token: t, at: 2030-01-01T00:00:00Z, claims: {n: 1, yes: true, list: [a, b]}}
cases:
  - name: all
    token: u
    at: "2031-01-01T00:00:00Z"
    claims: {gone: null, "oidc.circleci.com/context-ids": []}
    claims_file: c.json
    ttl: 5m
    credentials: [{type: ssh, roles: [a]}]
    want: join
    bot: b
    rule: 0
    logins: []
    grants_ttl: 5m
`))
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cases[0]
	if c.Line != 4 || c.Token != "u" || c.At.Year() != 2031 || f.Defaults.At.Year() != 2030 || *c.Rule != 0 || c.Logins == nil ||
		c.Credentials[0].Roles[0] != "a" || c.ClaimsFile != "c.json" {
		t.Errorf("%+v", c)
	}
	if gone, there := c.Claims["gone"]; gone != nil || !there {
		t.Error("a claim that is taken away is not there as null")
	}
	if f.Defaults.Claims["n"] != 1 || f.Defaults.Claims["yes"] != true || len(f.Defaults.Claims["list"].([]any)) != 2 {
		t.Errorf("claims %v", f.Defaults.Claims)
	}
}

func TestWantsAreRefusalsThatRulesDecide(t *testing.T) {
	wants := admin.CaseWants()
	for _, code := range []string{"join", "no_rule_matched", "denied_by_rule", "locked", "not_permitted", "token_not_found", "ssh_rerun_refused", "id_token_expired"} {
		if !slices.Contains(wants, code) {
			t.Errorf("%s may not be wanted", code)
		}
	}
	for _, code := range []string{"internal", "id_token_already_used", "id_token_bad_signature", "rate_limited", "malformed_request"} {
		if slices.Contains(wants, code) {
			t.Errorf("%s may be wanted, and does not follow from rules and claims", code)
		}
	}
}
