package main

import (
	"crypto/ecdsa"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// dimension is something that a service may have few or many of.
type dimension struct {
	what  string
	sizes func(size) []int
	// fill stores n of them, beside the rules that every service of the run has.
	fill func(b *bench, g *grown, n int) error
	// rule is the token rule of the i-th request, and how its ID token differs.
	rule func(i, n int) (string, []issuertest.Option)
}

// grown is a service with much in its store.
type grown struct {
	*server
	store store.Store // on the same data
}

// sizes are those of a normal run; a short one takes the first two, a long one adds one.
func sizes(normal []int, long ...int) func(size) []int {
	return func(s size) []int {
		switch s.name {
		case "short":
			return []int{normal[0], normal[0] * 10}
		case "long":
			return append(normal[:len(normal):len(normal)], long...)
		}
		return normal
	}
}

var dimensions = []dimension{
	{"token rules", sizes([]int{10, 1000, 10_000, 100_000}), (*bench).fillRules, func(i, n int) (string, []issuertest.Option) {
		return grownName(rand.IntN(n)), nil
	}},
	{"allow rules in one", sizes([]int{1, 10, 100, 1000}), (*bench).fillAllow, theExample},
	{"keys of an issuer", sizes([]int{2, 10, 100}), (*bench).fillKeys, theExample},
	{"issuers", sizes([]int{1, 100, 1000, 10_000}), (*bench).fillIssuers, func(i, n int) (string, []issuertest.Option) {
		one := rand.IntN(n)
		return grownName(one), []issuertest.Option{issuertest.WithClaim("iss", grownIssuer(one))}
	}},
	{"locks", sizes([]int{1, 100, 1000, 10_000}), (*bench).fillLocks, theExample},
	{"records", sizes([]int{1, 10_000, 1_000_000}, 10_000_000), (*bench).fillRecords, theExample},
}

func theExample(int, int) (string, []issuertest.Option) { return "example", nil }

func grownName(i int) string { return fmt.Sprintf("grown-%06d", i) }

func grownIssuer(i int) string {
	return fmt.Sprintf("https://api.bitbucket.org/2.0/workspaces/grown-%06d/pipelines-config/identity/oidc", i)
}

// growth is what a join, a join after a change and commands cost with little and with much in
// the store. A figure may be 1 + log10(n/m) times what it is at the smallest size m.
func (b *bench) growth() error {
	for _, d := range dimensions {
		first := map[string]float64{}
		all := d.sizes(b.size)
		for _, n := range all {
			costs, err := b.grow(d, n)
			if err != nil {
				return fmt.Errorf("%d %s: %w", n, d.what, err)
			}
			fmt.Fprintf(b.progress, "bench: growth: %d %s: %v\n", n, d.what, costs)
			for _, c := range costs {
				name := fmt.Sprintf("%d %s: %s", n, d.what, c.what)
				b.table.add("growth", name, c.ms, "ms", nil)
				if n == all[0] {
					first[c.what] = c.ms
				} else if c.bounded {
					b.table.add("growth", name, c.ms/first[c.what], "x of "+fmt.Sprint(all[0]), logarithm(n, all[0]))
				}
			}
		}
	}
	if err := b.growthOfCommands(); err != nil {
		return err
	}
	return b.growthOfCalls()
}

// logarithm is the limit of a figure at size n as a multiple of that at size m.
func logarithm(n, m int) *Limit {
	return atMost(math.Round(100*(1+math.Log10(float64(n)/float64(m)))) / 100)
}

// cost is what something costs at one size.
type cost struct {
	what    string
	ms      float64 // of processor time
	bounded bool    // may grow no faster than the logarithm
}

// grow measures one size.
func (b *bench) grow(d dimension, n int) (costs []cost, err error) {
	s, err := b.serve(onDisk, b.dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(s.data)
	defer s.stop()
	g := &grown{server: s}
	beside, err := sqlite.Open(b.ctx, s.data, sqlite.Options{MustExist: true})
	if err != nil {
		return nil, err
	}
	defer beside.Close()
	g.store = beside
	if err := d.fill(b, g, n); err != nil {
		return nil, err
	}
	request := func(i int, key *ecdsa.PrivateKey) ([]byte, error) {
		rule, options := d.rule(i, n)
		return b.requestBy(rule, key, options...)
	}
	bodies, err := mintBy(b.size.joins/2+50, request)
	if err != nil {
		return nil, err
	}
	client := newClient(8, nil)
	if _, err := b.load(s, client, bodies[:50], 8); err != nil {
		return nil, err
	}
	l, err := b.load(s, client, bodies[50:], 8)
	if err != nil {
		return nil, err
	}
	costs = append(costs, cost{"a join", l.cpu, true})
	changed, err := b.joinsAfterChanges(g, request)
	if err != nil {
		return nil, err
	}
	costs = append(costs, cost{"a join after a change", changed, false})
	commands, err := b.commandCosts(g)
	return append(costs, commands...), err
}

// joinsAfterChanges is the processor time of a join that is the first after a change.
func (b *bench) joinsAfterChanges(g *grown, request func(int, *ecdsa.PrivateKey) ([]byte, error)) (float64, error) {
	n := max(b.size.joins/20, 20)
	bodies, err := mintBy(n, request)
	if err != nil {
		return 0, err
	}
	client := newClient(1, nil)
	defer client.CloseIdleConnections()
	before, err := cpu(g.pid)
	if err != nil {
		return 0, err
	}
	for i, body := range bodies {
		if err := g.change(b.ctx, i); err != nil {
			return 0, err
		}
		if _, err := b.join(client, g.url, body); err != nil {
			return 0, err
		}
	}
	after, err := cpu(g.pid)
	return ms(after-before) / float64(n), err
}

// commandCosts is the processor time of commands that look at one thing or at the whole.
func (b *bench) commandCosts(g *grown) (costs []cost, err error) {
	for _, c := range []struct {
		args    []string
		bounded bool
	}{
		{[]string{"joins", "ls"}, true},
		{[]string{"get", "token/example"}, true},
		{[]string{"status"}, false},
	} {
		var all []float64
		for range b.size.rounds {
			cmd := b.command("gatepassctl", append(c.args, "--data", g.data), nil)
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("gatepassctl %s: %w\n%s", strings.Join(c.args, " "), err, out)
			}
			all = append(all, ms(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()))
		}
		costs = append(costs, cost{strings.Join(c.args, " "), median(all), c.bounded})
	}
	return costs, nil
}

// growthOfCommands is what a resource costs in apply: unchanged ones, of few and of many.
func (b *bench) growthOfCommands() error {
	counts := []int{100, 1000, 20_000}
	if b.size.name == "short" {
		counts = counts[:2]
	}
	var first float64
	for _, n := range counts {
		s, err := b.serve(onDisk, b.dir)
		if err != nil {
			return err
		}
		took, lines, err := b.applyTwice(s, n)
		s.stop()
		_ = os.RemoveAll(s.data)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("apply of %d unchanged token rules", n)
		b.table.add("growth", name+": lines printed", float64(lines), "lines", nil)
		b.table.add("growth", name+": CPU a rule", took, "ms", nil)
		if n == counts[0] {
			first = took
		} else {
			b.table.add("growth", name+": CPU a rule", took/first, fmt.Sprintf("x of %d", counts[0]), logarithm(n, counts[0]))
		}
	}
	return nil
}

// applyTwice applies so many token rules and tells of the second time, when nothing changes.
func (b *bench) applyTwice(s *server, n int) (msARule float64, lines int, err error) {
	folder, err := os.MkdirTemp(b.dir, "rules-")
	if err != nil {
		return 0, 0, err
	}
	for i := range n {
		rule := b.grownRule(grownName(i), b.issuer.BitbucketURL(), 1)
		if err := os.WriteFile(filepath.Join(folder, grownName(i)+".yaml"), []byte(rule), 0o600); err != nil {
			return 0, 0, err
		}
	}
	if err := b.ctl(nil, "apply", "-f", folder, "--data", s.data); err != nil {
		return 0, 0, err
	}
	cmd := b.command("gatepassctl", []string{"apply", "-f", folder, "--data", s.data}, nil)
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("apply: %w\n%s", err, out)
	}
	took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return ms(took) / float64(n), strings.Count(string(out), "\n"), nil
}

// newest is the time of the newest record that was filled in.
func newest() time.Time { return time.Now().Add(-2 * time.Hour) }
