package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// TestShort measures each part, and looks at whether all of its figures are there. It judges
// none of them.
func TestShort(t *testing.T) {
	wanted := map[string][]string{
		"join": {"floor, 1 at once: CPU a join", "serve on disk, 8 at once: CPU a join", "serve in memory, 64 at once: p99",
			"serve on disk: resident", "step-ca with badger: CPU a join (reference)"},
		"soak":    {"serve on disk: resident after 256 joins"},
		"tls":     {"a new connection each, 8 at once: CPU a join", "kept connections, 8 at once: p50"},
		"guesses": {"an unknown rule: p50", "an expired rule: told from an unknown rule", "a rule and its issuer: p50"},
		"lambda":  {"join: zip", "jwks-refresh: zip", "join: start to first answer", "join, cold: a join", "join, warm: remote calls one after another", "join, warm: Query lock", "join, warm: Sign ssh-user"},
		"memory":  {"128 MB: a first join, from the start", "1769 MB: a million later joins"},
		"client":  {"gatepass: size", "gatepass join: start to credentials", "gatepass join: most memory"},
		"refresh": {"keys refresh of 20 issuers"},
		"growth": {"10 token rules: a join", "100 token rules: a join", "10 records: joins ls", "10 locks: a join after a change",
			"apply of 1000 unchanged token rules: lines printed", "DynamoDB, 10 issuers: a join: calls"},
		"login": {"a plain key: CPU of sshd a login", "a certificate: a login"},
	}
	table := measured(t)
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			for _, note := range table.Notes {
				if strings.HasPrefix(note, p.name+" was not measured") {
					if os.Getenv("CI") != "" {
						t.Fatal(note)
					}
					t.Skipf("skipped: %s", note)
				}
			}
			for _, name := range wanted[p.name] {
				if !slices.ContainsFunc(table.Lines, func(l Line) bool { return l.Part == p.name && l.Name == name }) {
					t.Errorf("there is no line %q", name)
				}
			}
		})
	}
	checkLimits(t, table)
	for _, l := range table.Lines {
		if wanted[l.Part] == nil || l.Unit == "" || l.Value < 0 || (l.Limit == nil) != (l.Met == nil) {
			t.Errorf("line %+v", l)
		}
	}
}

// checkLimits looks at whether the goals of a join stand beside their figures, and whether
// each figure that has one is judged by it.
func checkLimits(t *testing.T, table *Table) {
	t.Helper()
	for _, goal := range []struct{ name, unit, limit string }{
		{"serve on disk, 8 at once: CPU a join", "x floor", "at most 1.6"},
		{"serve on disk, 8 at once: CPU a join", "x step-ca", "at most 0.4"},
		{"serve on disk, 8 at once: CPU a join", "x Fulcio", "at most 1"},
		{"serve on disk, 64 at once: joins", "x floor", "at least 0.5"},
		{"serve on disk, 64 at once: p99", "x floor", "at most 3"},
	} {
		if l := table.find(Line{Part: "join", Name: goal.name, Unit: goal.unit}); l == nil || l.Limit.String() != goal.limit {
			t.Errorf("%s (%s): %+v, want the limit %q", goal.name, goal.unit, l, goal.limit)
		}
	}
	for _, l := range table.Lines {
		if l.Limit != nil && l.Met != nil && *l.Met != (l.Limit.Least && l.Value >= l.Limit.Value || !l.Limit.Least && l.Value <= l.Limit.Value) {
			t.Errorf("%s: %v with the limit %s is met: %v", l.Name, l.Value, l.Limit, *l.Met)
		}
	}
}

// measured is a short run, by way of its JSON.
func measured(t *testing.T) *Table {
	t.Helper()
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"--short", "--json"}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	file := filepath.Join(t.TempDir(), "run.json")
	worldtest.Must(t, os.WriteFile(file, out.Bytes(), 0o600))
	table, err := readTable(file)
	worldtest.Must(t, err)
	if table.Size != "short" {
		t.Errorf("a %s run", table.Size)
	}
	return table
}

func TestTable(t *testing.T) {
	table := &Table{Begun: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), CPUs: 2, Load: "0.1 0.2 0.3", Size: "short"}
	table.add("join", "floor: CPU a join", 0.5, "ms", nil)
	table.add("join", "serve: CPU a join", 4, "x floor", atMost(1.6))
	table.add("join", "serve: joins", 0.7, "x floor", atLeast(0.5))
	table.note("login was not measured: no sshd")
	before := &Table{}
	before.add("join", "floor: CPU a join", 0.25, "ms", nil)
	before.add("join", "serve: CPU a join", 2, "ms", nil) // another unit: another line
	var out bytes.Buffer
	worldtest.Must(t, table.print(&out, before))
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"2026-01-02 03:04:05, 2 CPUs, load before 0.1 0.2 0.3, short run",
		"",
		"PART WHAT FIGURE UNIT LIMIT MET BEFORE NOW/BEFORE",
		"join floor: CPU a join 0.50 ms 0.25 2.00",
		"join serve: CPU a join 4.00 x floor at most 1.6 NO - -",
		"join serve: joins 0.70 x floor at least 0.5 yes - -",
		"note: login was not measured: no sshd",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("printed\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestUsage(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	worldtest.Must(t, os.WriteFile(bad, []byte("no JSON"), 0o600))
	for _, args := range [][]string{{"nothing"}, {"--what"}, {"--short", "--long"}, {"--compare", bad}, {"--compare", bad + "2"}, {"--json", "--compare", bad}} {
		var out, progress bytes.Buffer
		if err := run(t.Context(), args, &out, &progress); err == nil {
			t.Errorf("%v: no error", args)
		}
		if strings.Contains(progress.String(), "building") {
			t.Errorf("%v: it began", args)
		}
	}
}

// TestChain counts hops: three steps, of which the second is two calls at the same time.
func TestChain(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	list := []call{{"c", at(20), at(30), 0}, {"a", at(0), at(10), 0}, {"b", at(11), at(19), 0}, {"b", at(12), at(18), 0}}
	if n := chain(list); n != 3 {
		t.Errorf("%d hops, want 3", n)
	}
}
