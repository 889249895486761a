package capacity_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/test/capacity"
)

// The page has what the command prints now.
func TestCapacityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/capacity.md")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	capacity.Print(&out)
	tables := strings.Split(strings.TrimSpace(out.String()), "\n\n")
	if len(tables) != 3 {
		t.Fatalf("%d tables are printed, want 3", len(tables))
	}
	for _, table := range tables {
		if !strings.Contains(string(page), table) {
			t.Errorf("docs/capacity.md does not have what go run ./test/capacity/table prints:\n%s", table)
		}
	}
}

// The simulation supposes the memory that the template gives the function.
func TestJoinMemory(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)\n  JoinFunction:.*?MemorySize: (\d+)\n`).FindSubmatch(template)
	if m == nil || string(m[1]) != "512" || capacity.JoinMB != 512 {
		t.Errorf("template.yaml gives join %q, the simulation %d MB", m, capacity.JoinMB)
	}
}

func TestSimulate(t *testing.T) {
	run := func(d capacity.Design, rate float64) capacity.Outcome {
		t.Helper()
		return capacity.Simulate(d, rate, 3*time.Second)
	}
	calm := run(capacity.AsDeployed, 100)
	if calm.Granted != calm.Asked || calm.First() != "" || calm.P50 < capacity.JoinTime(capacity.AsDeployed)*4/5 {
		t.Errorf("100 joins a second: %+v", calm)
	}
	// Twice what KMS signs: its quota refuses, half of the joins or more get through.
	busy := run(capacity.AsDeployed, 1000)
	if !strings.HasPrefix(busy.First(), "KMS") || busy.Granted == busy.Asked || busy.Granted < busy.Asked/3 {
		t.Errorf("1,000 joins a second: %+v", busy)
	}
	// With KMS out of the way it is the locks, which share one partition.
	raised := run(capacity.ManyRules, 8000)
	if !strings.Contains(raised.First(), "locks") {
		t.Errorf("8,000 joins a second with quotas raised: %+v", raised)
	}
	one := capacity.ManyRules
	one.Rules, one.LockCopies = 1, 8
	if first := run(one, 8000).First(); !strings.Contains(first, "one token rule") {
		t.Errorf("8,000 joins a second by one token rule are refused by %s", first)
	}
	if spread := run(capacity.Spread16, 50_000); spread.Granted != spread.Asked {
		t.Errorf("50,000 joins a second over 16 stacks: %+v", spread)
	}
}

func TestLambdaUSD(t *testing.T) {
	// A million of 40.2 ms, which count as 41, of 512 MB.
	if got := capacity.LambdaUSD(512, 40.2) * 1e6; got < 0.4733 || got > 0.4734 {
		t.Errorf("%f USD", got)
	}
}
