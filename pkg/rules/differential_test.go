package rules_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

var (
	differentialPairs = flag.Int("differential", 20_000, "pairs of rule and claims that TestDifferential judges for each seed")
	differentialSeed  = flag.Uint64("differential-seed", 0, "the seed of TestDifferential in place of 1 and a random one")
)

// TestDifferential holds what the code says of random rules and claims against plainRule,
// which was written from docs/rules.md alone and shares nothing with the code.
func TestDifferential(t *testing.T) {
	seeds := []uint64{1, uint64(time.Now().UnixNano())}
	if *differentialSeed != 0 {
		seeds = []uint64{*differentialSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			g := differentialWorld{rand.New(rand.NewPCG(seed, 13))}
			verdicts := map[string]int{}
			for n := 0; n < *differentialPairs; {
				rule := g.rule()
				parsed := parseOne[*rules.TokenRule](t, rule.document(t))
				for range 8 {
					n++
					job := g.job(rule)
					want := rule.judge(job)
					if got := judge(parsed, job); got != want {
						t.Fatalf("got %q, want %q, of the claims\n%s\nby the rule\n%s\nagain: go test ./pkg/rules -run TestDifferential -differential-seed %d",
							got, want, asJSON(t, job), rule.document(t), seed)
					}
					verdicts[strings.TrimRight(want, "0123456789[]")]++
				}
			}
			t.Logf("%d pairs: %v", *differentialPairs, verdicts)
			for _, verdict := range []string{"allow", "deny", "no match"} {
				if verdicts[verdict] < *differentialPairs/10 {
					t.Errorf("%d of %d pairs are %q, want a tenth: the generator is lopsided", verdicts[verdict], *differentialPairs, verdict)
				}
			}
		})
	}
}

// judge is what the code says: the CI's own check, then the decision and, where nothing
// matches, the fields that the job is shown.
func judge(rule *rules.TokenRule, job provider.Claims) string {
	p := provider.Of(rule.JoinMethod)
	if refusal := p.CheckJob(job, rule.Section()); refusal != nil {
		return refusal.Code
	}
	switch d := rule.Decide(p.Read(job)); d.Outcome {
	case rules.Allowed:
		return fmt.Sprintf("allow[%d]", d.Rule)
	case rules.Denied:
		return fmt.Sprintf("deny[%d]", d.Rule)
	default:
		return "no match"
	}
}

// plainRule is a token rule as a file has it.
type plainRule struct {
	method      string
	section     map[string]any // its settings
	allow, deny []map[string]string
}

// document is JSON, which is YAML too.
func (r plainRule) document(t testing.TB) string {
	section := maps.Clone(r.section)
	section["allow"] = r.allow
	if len(r.deny) > 0 {
		section["deny"] = r.deny
	}
	return asJSON(t, map[string]any{"kind": "token", "version": "v2", "metadata": map[string]any{"name": "example"},
		"spec": map[string]any{"roles": []string{"Bot"}, "bot_name": "example", "join_method": r.method, r.method: section}})
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
