package admin_test

import (
	"errors"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestStaticAnswersAsAStoreDoes(t *testing.T) {
	docs, _, err := rules.Parse("rules.yaml", []byte(`
{kind: role, version: v7, metadata: {name: a}, spec: {allow: {logins: [x]}}}
---
{kind: role, version: v7, metadata: {name: b}, spec: {allow: {logins: [y]}}}
---
{kind: bot, version: v1, metadata: {name: a}, spec: {roles: [a]}}
---
{kind: lock, version: v2, metadata: {name: a}, spec: {target: {all: true}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var all []rules.Resource
	for _, d := range docs {
		all = append(all, d.Resource)
	}
	s, err := admin.NewStatic(all)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if bot, err := store.Bot(ctx, s, "a"); err != nil || bot.Name() != "a" {
		t.Errorf("bot/a: %v, %v", bot, err)
	}
	roles, err := store.Roles(ctx, s, []string{"b", "missing", "a", "b"})
	if err != nil || len(roles) != 2 || roles[0].Name() != "b" || roles[1].Name() != "a" {
		t.Errorf("roles %v, %v: want b and a, once each and in that order", roles, err)
	}
	if locks, err := store.Locks(ctx, s); err != nil || len(locks) != 1 {
		t.Errorf("locks %v, %v", locks, err)
	}
	for name, err := range map[string]error{
		"a bot that there is not": second(store.Bot(ctx, s, "missing")),
		"a role's name for a bot": second(store.Bot(ctx, s, "b")),
		"a token rule":            second(store.Token(ctx, s, "a")),
		"a key set":               second(s.KeySet(ctx, "https://issuer.example.com")),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
	if _, err := admin.NewStatic(append(all, all[2])); err == nil || err.Error() != "bot/a is there twice: keep one of them" {
		t.Errorf("a bot twice: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
