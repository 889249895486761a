package admin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const shop = `
	token shop: shop
	bot shop: {roles: [deployer]}
	role deployer: {allow: {logins: [deploy]}}
`

func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		stored, wanted string
		edited         string // stored too, by hand
		want           string
	}{
		"nothing":                            {"", "", "", ""},
		"what is referred to comes first":    {"", shop + "lock all: {target: {all: true}}", "", "create lock/all, create role/deployer, create bot/shop, create token/shop"},
		"by name":                            {"", "bot c: {roles: []}\nbot a: {roles: []}\nbot b: {roles: []}", "", "create bot/a, create bot/b, create bot/c"},
		"the same again":                     {shop, shop, "", "unchanged role/deployer, unchanged bot/shop, unchanged token/shop"},
		"what is not named stays":            {shop, "bot shop: {roles: [deployer, auditor]}", "", "update bot/shop"},
		"of another kind by the same name":   {shop, "lock shop: {target: {bot: shop}}", "", "create lock/shop"},
		"files that undo what was edited":    {shop, shop, "bot shop: {roles: [auditor]}", "unchanged role/deployer, update bot/shop!, unchanged token/shop"},
		"files that undo it in another way":  {shop, "bot shop: {roles: []}", "bot shop: {roles: [auditor]}", "update bot/shop!"},
		"files that say what was edited":     {shop, "bot shop: {roles: [auditor]}", "bot shop: {roles: [auditor]}", "adopt bot/shop"},
		"what was edited and is in no files": {shop, "role deployer: {allow: {logins: [deploy]}}", "bot shop: {roles: [auditor]}", "unchanged role/deployer"},
	} {
		t.Run(name, func(t *testing.T) {
			m := holding(t, c.stored)
			for _, r := range parse(t, c.edited) {
				m.put(r.Kind(), r.Name(), r, noon, true)
			}
			steps, err := read(t, m).Plan(parse(t, c.wanted))
			if err != nil || told(steps) != c.want {
				t.Errorf("got  %s, %v\nwant %s", told(steps), err, c.want)
			}
			if m.lists > 4 {
				t.Errorf("the store was asked for %d lists", m.lists)
			}
		})
	}
	t.Run("twice the same resource", func(t *testing.T) {
		_, err := read(t, &memory{}).Plan(parse(t, "bot a: {roles: []}\nbot b: {roles: []}\nbot a: {roles: [x]}"))
		if err == nil || !strings.Contains(err.Error(), "bot/a is there twice") {
			t.Errorf("got %v", err)
		}
	})
}

func TestExecute(t *testing.T) {
	var many strings.Builder
	for i := range 250 {
		fmt.Fprintf(&many, "token t-%d: shop\n", i)
	}
	m := holding(t, shop+"token old: old\nbot old: {roles: [gone]}\nrole gone: {}\nlock stop: {target: {bot: old}}\n")
	state := read(t, m)
	steps, err := state.Plan(parse(t, shop+many.String()+"bot shop-2: {roles: [deployer]}\nlock new: {target: {bot: shop-2}}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range [][2]string{{"lock", "stop"}, {"role", "gone"}, {"bot", "old"}, {"token", "old"}} {
		step, err := state.PlanRemove(rules.Kind(gone[0]), gone[1])
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	admin.Sort(steps)
	var seen []string
	done, err := admin.Execute(t.Context(), m, steps, noon, func(done, total int) { seen = append(seen, fmt.Sprintf("%d/%d", done, total)) })
	if err != nil || done != 256 || strings.Join(seen, " ") != "100/256 200/256 256/256" {
		t.Errorf("%d changes were stored, seen as %q: %v", done, seen, err)
	}
	var order []string
	for _, write := range m.writes {
		for _, c := range write {
			if c.Kind != rules.KindToken || c.Resource == nil {
				order = append(order, fmt.Sprintf("%t %s/%s", c.Resource != nil, c.Kind, c.Name))
			}
			if c.At != noon || c.Edited {
				t.Errorf("%s/%s was stored at %s, edited %t", c.Kind, c.Name, c.At, c.Edited)
			}
		}
	}
	if got, want := strings.Join(order, ", "), "true lock/new, true bot/shop-2, false token/old, false bot/old, false role/gone, false lock/stop"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestExecuteLarge has resources so large that few of them make a transaction.
func TestExecuteLarge(t *testing.T) {
	var large []rules.Resource
	for i := range 40 {
		bot := &rules.Bot{Metadata: rules.Metadata{Name: fmt.Sprintf("bot-%d", i)}}
		for trait := range 4 {
			var values []string
			for value := range 800 {
				values = append(values, fmt.Sprintf("%04d%s", value, strings.Repeat("x", 60)))
			}
			bot.Traits = append(bot.Traits, rules.Trait{Name: fmt.Sprint("trait-", trait), Values: values})
		}
		large = append(large, bot)
	}
	m := &memory{}
	steps, err := read(t, m).Plan(large)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := admin.Execute(t.Context(), m, steps, noon); err != nil || done != 40 {
		t.Fatalf("%d were stored: %v", done, err)
	}
	if n := len(m.writes); n < 3 || n > 6 {
		t.Errorf("%d transactions", n)
	}
}

// TestMeanwhile has someone else change, remove or create a resource between a
// plan and its Write: theirs stays, and the transaction changes nothing.
func TestMeanwhile(t *testing.T) {
	theirs := parse(t, "bot shop: {roles: [theirs]}\nbot new: {roles: [theirs]}")
	for name, c := range map[string]struct {
		theirs   func(m *memory)
		conflict string
		left     string // bot/shop's roles
	}{
		"changed": {func(m *memory) { m.put("bot", "shop", theirs[0], noon, false) }, "bot/shop", "theirs"},
		"edited":  {func(m *memory) { m.put("bot", "shop", theirs[0], noon, true) }, "bot/shop", "theirs"},
		"removed": {func(m *memory) { m.put("bot", "shop", nil, noon, false) }, "bot/shop", ""},
		"created": {func(m *memory) { m.put("bot", "new", theirs[1], noon, false) }, "bot/new", "deployer"},
	} {
		t.Run(name, func(t *testing.T) {
			m := holding(t, shop)
			m.beforeWrite = func(int, *memory) error { c.theirs(m); return nil }
			steps, err := read(t, m).Plan(parse(t, "role new: {}\nbot shop: {roles: [mine]}\nbot new: {roles: [mine]}"))
			if err != nil {
				t.Fatal(err)
			}
			done, err := admin.Execute(t.Context(), m, steps, noon)
			conflict, ok := errors.AsType[*store.ConflictError](err)
			if done != 0 || !ok || string(conflict.Kind)+"/"+conflict.Name != c.conflict {
				t.Errorf("%d changes were stored: %v", done, err)
			}
			left := ""
			if s, ok := m.stored["bot/shop"]; ok {
				left = strings.Join(s.Resource.(*rules.Bot).Roles, ",")
			}
			if _, created := m.stored["role/new"]; left != c.left || created {
				t.Errorf("bot/shop has the roles %q, role/new was created: %t", left, created)
			}
		})
	}
	t.Run("in a later transaction", func(t *testing.T) {
		var many strings.Builder
		for i := range 150 {
			fmt.Fprintf(&many, "bot b-%03d: {roles: []}\n", i)
		}
		m := &memory{beforeWrite: func(n int, m *memory) error {
			if n == 2 {
				m.put("bot", "b-120", theirs[0], noon, false)
			}
			return nil
		}}
		steps, err := read(t, m).Plan(parse(t, many.String()))
		if err != nil {
			t.Fatal(err)
		}
		done, err := admin.Execute(t.Context(), m, steps, noon)
		if _, ok := errors.AsType[*store.ConflictError](err); !ok || done != 100 || len(m.stored) != 101 {
			t.Errorf("%d changes were stored, %d resources are there: %v", done, len(m.stored), err)
		}
	})
}

func TestPlanEdit(t *testing.T) {
	m := holding(t, shop)
	stored, _ := read(t, m).Get(rules.KindBot, "shop")
	edited := parse(t, "bot shop: {roles: [auditor]}\nbot shop: {roles: [deployer]}\nbot other: {roles: []}\nrole shop: {}")
	if step, err := admin.PlanEdit(stored, edited[1]); err != nil || step.Action != admin.Unchanged {
		t.Errorf("the same: %s, %v", step.Action, err)
	}
	for _, r := range edited[2:] {
		if _, err := admin.PlanEdit(stored, r); err == nil {
			t.Errorf("bot/shop became %s/%s", r.Kind(), r.Name())
		}
	}
	for range 2 { // an edit of an edit undoes nothing of files
		step, err := admin.PlanEdit(stored, edited[0])
		if err != nil || step.Action != admin.Update || step.Undoes() {
			t.Fatalf("%+v, %v", step, err)
		}
		if _, err := admin.Execute(t.Context(), m, []admin.Step{step}, noon); err != nil {
			t.Fatal(err)
		}
		if stored, _ = read(t, m).Get(rules.KindBot, "shop"); !stored.Edited {
			t.Error("it is not known that it was edited")
		}
		edited[0] = edited[1]
	}
}

func TestOrphans(t *testing.T) {
	const more = shop + "token other: shop\nbot other: {roles: [deployer, gone]}\n"
	for name, c := range map[string]struct {
		remove []string
		wanted string
		want   string
	}{
		"a token rule":                {[]string{"token/shop"}, "", ""},
		"a bot with token rules":      {[]string{"bot/shop"}, "", "bot/shop: token/other token/shop"},
		"and one of them":             {[]string{"bot/shop", "token/shop"}, "", "bot/shop: token/other"},
		"and all of them":             {[]string{"bot/shop", "token/shop", "token/other"}, "", ""},
		"a role":                      {[]string{"role/deployer"}, "", "role/deployer: bot/other bot/shop"},
		"a role that bots let go of":  {[]string{"role/deployer"}, "bot shop: {roles: []}\nbot other: {roles: []}", ""},
		"a role that a new one takes": {[]string{"role/deployer", "bot/other", "bot/shop", "token/shop", "token/other"}, "bot new: {roles: [deployer]}", "role/deployer: bot/new"},
		"what was missing before":     {[]string{"token/other"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			state := read(t, holding(t, more))
			steps, err := state.Plan(parse(t, c.wanted))
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range c.remove {
				kind, name, _ := strings.Cut(id, "/")
				step, err := state.PlanRemove(rules.Kind(kind), name)
				if err != nil {
					t.Fatal(err)
				}
				steps = append(steps, step)
			}
			var got []string
			for _, o := range state.Orphans(steps) {
				got = append(got, o.ID+": "+strings.Join(o.UsedBy, " "))
			}
			if strings.Join(got, "; ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := read(t, &memory{}).PlanRemove(rules.KindBot, "shop"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removing what does not exist: %v", err)
	}
}

func TestUnlocks(t *testing.T) {
	var locks []*rules.Lock
	for _, r := range parse(t, `
		lock one: {target: {bot: shop}}
		lock same: {target: {bot: shop}, expires: "2026-01-01T13:00:00Z"}
		lock over: {target: {bot: shop}, expires: "2026-01-01T12:00:00Z"}
		lock other: {target: {bot: other}}
		lock role: {target: {role: shop}}
		lock all: {target: {all: true}}
	`) {
		locks = append(locks, r.(*rules.Lock))
	}
	one, same, over, other, role, all := locks[0], locks[1], locks[2], locks[3], locks[4], locks[5]
	for name, c := range map[string]struct {
		lock  *rules.Lock
		after []*rules.Lock
		want  string
	}{
		"the only one":            {one, nil, "unlocks bot/shop"},
		"beside others' locks":    {one, []*rules.Lock{other, role}, "unlocks bot/shop"},
		"beside the same":         {one, []*rules.Lock{same}, "bot/shop stays locked by lock/same"},
		"beside one that is over": {one, []*rules.Lock{over}, "unlocks bot/shop"},
		"beside all":              {one, []*rules.Lock{all, other}, "bot/shop stays locked by lock/all"},
		"of all":                  {all, []*rules.Lock{one}, "unlocks everything"},
		"that is over":            {over, nil, "it had expired: bot/shop was not stopped by it"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := admin.Unlocks(c.lock, c.after, noon); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := admin.Unlocks(same, nil, noon.Add(time.Hour)); !strings.Contains(got, "had expired") {
		t.Errorf("at its end: %q", got)
	}
}

// TestInvalid has two resources stored that cannot be decoded.
func TestInvalid(t *testing.T) {
	m := holding(t, shop)
	m.invalid = []*store.InvalidError{
		{Kind: rules.KindBot, Name: "bad", Revision: "r1", Err: errors.New("damaged")},
		{Kind: rules.KindRole, Name: "bad", Revision: "r2", Err: errors.New("damaged")},
	}
	state := read(t, m)
	if err := state.Invalid(nil); err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("what is invalid: %v", err)
	}
	steps, err := state.Plan(parse(t, "bot bad: {roles: []}"))
	if err != nil || told(steps) != "update bot/bad" {
		t.Errorf("%s, %v", told(steps), err)
	}
	if err := state.Invalid(steps); err == nil || strings.Contains(err.Error(), "bot/bad") || !strings.Contains(err.Error(), "role/bad") {
		t.Errorf("what is left: %v", err)
	}
	gone, err := state.PlanRemove(rules.KindRole, "bad")
	if err != nil {
		t.Fatal(err)
	}
	steps = append(steps, gone)
	if err := state.Invalid(steps); err != nil {
		t.Errorf("nothing is left, and yet: %v", err)
	}
	m.beforeWrite = func(int, *memory) error { return errors.New("seen") }
	if _, err := admin.Execute(t.Context(), m, steps, noon); err == nil || m.writes[0][0].Revision != "r1" || m.writes[0][1].Revision != "r2" {
		t.Errorf("%+v, %v", m.writes, err)
	}
	m.broken = errors.New("no connection")
	if _, err := admin.Read(t.Context(), m); !errors.Is(err, m.broken) {
		t.Errorf("a listing that failed: %v", err)
	}
}
