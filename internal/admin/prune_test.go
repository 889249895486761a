package admin_test

import (
	"testing"

	"github.com/gatepass-ci/gatepass/internal/admin"
)

func TestParseSelector(t *testing.T) {
	for text, want := range map[string]string{
		"team=shop":             "team=shop",
		"team=shop,env=prod":    "env=prod,team=shop",
		" team = shop , env=p ": "env=p,team=shop",
		"a/b.c=d=e":             "a/b.c=d=e",
	} {
		if got, err := admin.ParseSelector(text); err != nil || got.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", ",", "team", "team=", "=shop", "team=shop,", "team!=shop", "team==shop", "team=a,team=b", "team=shop,,env=p", "!team", "a>b=c"} {
		if got, err := admin.ParseSelector(text); err == nil {
			t.Errorf("%q is understood as %q", text, got)
		}
	}
}

func TestPrune(t *testing.T) {
	const stored = `
		token shop team=shop: shop
		bot shop team=shop,env=prod: {roles: [deployer]}
		role deployer team=shop: {allow: {logins: [deploy]}}
		lock stop team=shop: {target: {bot: shop}}
		bot theirs team=shops: {roles: []}
		bot nobody: {roles: []}
		bot other shop=team: {roles: []}
	`
	for name, c := range map[string]struct {
		selector, wanted string
		want             string
		everything       bool
	}{
		"nothing is in the files":  {"team=shop", "", "remove token/shop, remove bot/shop, remove role/deployer, remove lock/stop", true},
		"some are":                 {"team=shop", "bot shop: {roles: []}", "remove token/shop, remove role/deployer, remove lock/stop", false},
		"only others are":          {"team=shop", "bot theirs: {roles: []}\nbot new team=shop: {roles: []}", "remove token/shop, remove bot/shop, remove role/deployer, remove lock/stop", true},
		"both labels":              {"team=shop,env=prod", "", "remove bot/shop", true},
		"a label that nobody has":  {"team=none", "", "", false},
		"a value of another label": {"shop=shop", "", "", false},
		"all are":                  {"team=shops", "bot theirs: {roles: []}", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			selector, err := admin.ParseSelector(c.selector)
			if err != nil {
				t.Fatal(err)
			}
			p := read(t, holding(t, stored)).Prune(parse(t, c.wanted), selector)
			if told(p.Removals) != c.want || p.Everything != c.everything {
				t.Errorf("got %s, everything %t\nwant %s", told(p.Removals), p.Everything, c.want)
			}
		})
	}
	t.Run("without a selector nothing goes", func(t *testing.T) {
		if p := read(t, holding(t, stored)).Prune(nil, admin.Selector{}); len(p.Removals) > 0 || p.Everything {
			t.Errorf("%s would go", told(p.Removals))
		}
	})
	t.Run("what was edited", func(t *testing.T) {
		m := holding(t, stored)
		edited := parse(t, "bot shop team=shop: {roles: []}")[0]
		m.put("bot", "shop", edited, noon, true)
		selector, err := admin.ParseSelector("team=shop")
		if err != nil {
			t.Fatal(err)
		}
		if got := told(read(t, m).Prune(nil, selector).Removals); got != "remove token/shop, remove bot/shop!, remove role/deployer, remove lock/stop" {
			t.Error(got)
		}
	})
}

func TestChoose(t *testing.T) {
	const stored = `
		token shop team=shop: shop
		token theirs: theirs
		bot shop team=shop: {roles: [deployer]}
		bot theirs: {roles: [auditor, deployer]}
		role deployer: {}
		role auditor team=shop: {}
		lock all: {target: {all: true}}
		lock bot: {target: {bot: shop}}
		lock role: {target: {role: auditor}}
	`
	labels, err := admin.ParseSelector("team=shop")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter admin.Filter
		want   string
	}{
		"all":            {admin.Filter{}, "lock/all lock/bot lock/role role/auditor role/deployer bot/shop bot/theirs token/shop token/theirs"},
		"bot":            {admin.Filter{Bot: "shop"}, "lock/all lock/bot role/deployer bot/shop token/shop"},
		"role":           {admin.Filter{Role: "auditor"}, "lock/all lock/role role/auditor bot/theirs token/theirs"},
		"bot and role":   {admin.Filter{Bot: "theirs", Role: "deployer"}, "lock/all role/deployer bot/theirs token/theirs"},
		"method":         {admin.Filter{Method: "circleci"}, "token/shop token/theirs"},
		"other method":   {admin.Filter{Method: "bitbucket"}, ""},
		"labels":         {admin.Filter{Labels: labels}, "role/auditor bot/shop token/shop"},
		"labels and bot": {admin.Filter{Labels: labels, Bot: "theirs"}, "role/auditor"},
		"nobody's":       {admin.Filter{Bot: "nobody"}, "lock/all"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, s := range read(t, holding(t, stored)).Choose(c.filter) {
				got += " " + string(s.Resource.Kind()) + "/" + s.Resource.Name()
			}
			if got != "" {
				got = got[1:]
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
