package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestTTL(t *testing.T) {
	const h = time.Hour
	const m = time.Minute
	tests := []struct {
		name              string
		requested, server time.Duration
		bot               time.Duration
		roles             []time.Duration // of a, b, …
		want              time.Duration
		limitedBy         string
	}{
		{"the default", 0, 12 * h, 0, nil, 15 * m, ""},
		{"what is asked for", 2 * h, 12 * h, 0, nil, 2 * h, ""},
		{"less than the default", m, 12 * h, 0, nil, m, ""},
		{"within all limits", h, 12 * h, 2 * h, []time.Duration{3 * h}, h, ""},
		{"equal to all limits", h, h, h, []time.Duration{h}, h, ""},
		{"the bot's limit", 4 * h, 12 * h, 2 * h, []time.Duration{3 * h}, 2 * h, "bot"},
		{"the default is cut too", 0, 12 * h, 5 * m, nil, 5 * m, "bot"},
		{"a role's limit", 4 * h, 12 * h, 2 * h, []time.Duration{h}, h, "role:a"},
		{"the smallest of several roles", 4 * h, 12 * h, 0, []time.Duration{2 * h, h, 3 * h}, h, "role:b"},
		{"a role without a limit", 4 * h, 12 * h, 0, []time.Duration{0, 3 * h}, 3 * h, "role:b"},
		{"the server's limit", 24 * h, 12 * h, 13 * h, []time.Duration{14 * h}, 12 * h, "server"},
		{"bot and role tie", 4 * h, 12 * h, h, []time.Duration{h}, h, "bot"},
		{"two roles tie", 4 * h, 12 * h, 0, []time.Duration{h, h}, h, "role:a"},
		{"role and server tie", 24 * h, 12 * h, 0, []time.Duration{12 * h}, 12 * h, "role:a"},
		{"a limit of a nanosecond, of the bot", h, 12 * h, 1, nil, 1, "bot"},
		{"a limit of a nanosecond, of a role", h, 12 * h, 0, []time.Duration{1}, 1, "role:a"},
		{"a request of a nanosecond", 1, 12 * h, 0, nil, 1, ""},
		{"a server of less than nothing", h, -1, 0, nil, 0, "server"},
		{"a server that allows nothing", h, 0, 0, nil, 0, "server"},
		{"a negative request is the default", -h, 12 * h, 0, nil, 15 * m, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bot := &rules.Bot{MaxSessionTTL: tt.bot}
			roles := []*rules.Role{nil}
			for i, limit := range tt.roles {
				roles = append(roles, &rules.Role{
					Metadata: rules.Metadata{Name: string(rune('a' + i))}, Options: rules.Options{MaxSessionTTL: limit},
				})
			}
			got, by := rules.TTL(tt.requested, tt.server, bot, roles)
			if got != tt.want || by != tt.limitedBy {
				t.Errorf("got %s limited by %q, want %s limited by %q", got, by, tt.want, tt.limitedBy)
			}
		})
	}
}

func TestApplicableRoles(t *testing.T) {
	bot, roles := team(t, "a: {}\nb: {}\nc: {}")
	wish := func(names ...string) rules.Wish { return rules.Wish{Type: "ssh", Roles: names} }
	tests := []struct {
		name   string
		wishes []rules.Wish
		want   string
	}{
		{"one role", []rules.Wish{wish("b")}, "b"},
		{"union, in the bot's order", []rules.Wish{wish("c"), wish("a")}, "a c"},
		{"a wish without names means all", []rules.Wish{wish("c"), wish()}, "a b c"},
		{"no wish means all", nil, "a b c"},
		{"a name that the bot does not have", []rules.Wish{wish("x")}, ""},
	}
	for _, tt := range tests {
		var got []string
		for _, r := range rules.Applicable(bot, []*rules.Role{roles[2], nil, roles[1], roles[0]}, tt.wishes) {
			got = append(got, r.Name())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, got, tt.want)
		}
	}
	if got := rules.Applicable(bot, roles[:1], nil); len(got) != 1 {
		t.Errorf("with two roles missing: %v", got)
	}
}

func TestActiveLock(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lock := func(target rules.Target, expires time.Time) *rules.Lock {
		return &rules.Lock{Metadata: rules.Metadata{Name: "stop"}, Target: target, Expires: expires}
	}
	never := time.Time{}
	tests := []struct {
		name string
		lock *rules.Lock
		want bool
	}{
		{"the bot", lock(rules.Target{Bot: "example"}, never), true},
		{"the token rule", lock(rules.Target{Token: "example-bot"}, never), true},
		{"its first role", lock(rules.Target{Role: "deployer"}, never), true},
		{"its second role", lock(rules.Target{Role: "reader"}, never), true},
		{"all", lock(rules.Target{All: true}, never), true},
		{"until later", lock(rules.Target{All: true}, now.Add(1)), true},
		{"until now", lock(rules.Target{All: true}, now), false},
		{"until earlier", lock(rules.Target{All: true}, now.Add(-1)), false},
		{"another bot", lock(rules.Target{Bot: "other"}, never), false},
		{"a bot of the token's name", lock(rules.Target{Bot: "example-bot"}, never), false},
		{"another token", lock(rules.Target{Token: "example"}, never), false},
		{"another role", lock(rules.Target{Role: "admin"}, never), false},
		{"nothing", lock(rules.Target{}, never), false},
		{"nil", nil, false},
	}
	other := lock(rules.Target{Bot: "other"}, never)
	for _, tt := range tests {
		got := rules.ActiveLock([]*rules.Lock{nil, other, tt.lock}, "example", "example-bot", []string{"deployer", "reader"}, now)
		if want := tt.lock; tt.want && got != want || !tt.want && got != nil {
			t.Errorf("%s: got %+v, want it to stop: %t", tt.name, got, tt.want)
		}
	}
	if got := rules.ActiveLock([]*rules.Lock{lock(rules.Target{}, never)}, "", "", []string{""}, now); got != nil {
		t.Error("a lock of nothing stops a bot without a name")
	}
}
