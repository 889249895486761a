package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// TestCasesOfARuleThatBinds: a case has a bound ID token unless it says otherwise.
func TestCasesOfARuleThatBinds(t *testing.T) {
	docs, _, err := rules.Parse("rules.yaml", []byte(fuzzRules+strings.Replace(circleRules, "spec:\n", "spec:\n  bind: required\n", 1)))
	if err != nil {
		t.Fatal(err)
	}
	var resources []rules.Resource
	for _, d := range docs {
		resources = append(resources, d.Resource)
	}
	static, err := admin.NewStatic(resources)
	if err != nil {
		t.Fatal(err)
	}
	const job = `oidc.circleci.com/context-ids: [00000000-0000-0000-0000-000000000002], oidc.circleci.com/vcs-origin: github.com/acme/shop`
	for claims, want := range map[string]string{
		job: "join",
		job + ", aud: 00000000-0000-0000-0000-000000000001": "id_token_not_bound",
	} {
		f, err := admin.ParseCases("cases.yaml", []byte("cases: [{name: x, token: c, claims: {"+claims+"}, want: "+want+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		results, err := admin.CaseConfig{Reasons: static, Now: time.Unix(1767225600, 0)}.Run(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(results[0].Problems) > 0 {
			t.Errorf("%s: %q, want %s", claims, results[0].Problems, want)
		}
	}
}
