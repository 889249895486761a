package admin

import (
	"strings"
	"testing"
	"time"
)

// thousandTokens applies a folder of 1,000 token rules in one command, twice.
func thousandTokens(p *place) {
	f := newFolder(p.t)
	f.tokens(0, 1000, "main")
	timed := func(args ...string) string {
		p.t.Helper()
		began := time.Now()
		out := p.run(args...)
		took := time.Since(began)
		p.t.Logf("gatepassctl %s: %.1f s", strings.Join(args[:1], " "), took.Seconds())
		if took > time.Minute {
			p.t.Errorf("it took %s", took)
		}
		out, _, _ = strings.Cut(out, "store: ")
		return out
	}
	out := timed("apply", "-f", f.dir)
	if got := strings.Count(out, "created "); got != 1011 || !strings.HasSuffix(out, "\n1011 created\n") {
		p.t.Errorf("%d resources were created:\n%.400s", got, out)
	}
	first := p.state()
	if len(first) != 1011 {
		p.t.Fatalf("%d resources are stored", len(first))
	}

	out = timed("apply", "-f", f.dir)
	if out != "nothing changed: 1011 resources are as the files say\n" { // and not 1,011 lines
		p.t.Errorf("printed:\n%.400s", out)
	}
	same(p.t, p.state(), first)
	if out := timed("diff", "-f", f.dir); out != "" {
		p.t.Errorf("diff finds differences:\n%.400s", out)
	}

	f.tokens(0, 1000, "release")
	out = timed("apply", "-f", f.dir)
	if got := strings.Count(out, "    ~ spec.bitbucket.allow[0].branch_name: main → release\n"); got != 1000 || !strings.HasSuffix(out, "\n1000 updated, 11 unchanged\n") {
		p.t.Errorf("%d branches are said to change:\n%.400s", got, out)
	}
	f.remove(0, 1000)
	out = timed("apply", "-f", f.dir, "--prune", "--selector", "from=folder", "--yes")
	if !strings.HasSuffix(out, "\n1000 removed, 11 unchanged\n") || len(p.state()) != 11 {
		p.t.Errorf("%d resources are left:\n%.400s", len(p.state()), out)
	}
}

// same tests that two states are the same.
func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	if changed := differing(want, got); len(changed) > 0 {
		t.Errorf("%d resources are not as they shall be: %.5q", len(changed), changed)
	}
}

// differing are the ids of what is not the same in both.
func differing(a, b map[string]string) (ids []string) {
	for id, x := range a {
		if b[id] != x {
			ids = append(ids, id)
		}
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			ids = append(ids, id)
		}
	}
	return ids
}
