package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Orphan is a resource that would go, and those that would then refer to nothing.
type Orphan struct {
	ID     string   `json:"id"`      // of what would go: a role or a bot
	UsedBy []string `json:"used_by"` // ids of the bots, or the token rules, that stay
}

// Orphans returns what the steps remove although something that stays refers to
// it: the joins of who refers to it would be refused.
func (s State) Orphans(steps []Step) []Orphan {
	users := map[store.Key][]string{}
	for _, r := range s.After(steps) {
		for _, used := range references(r) {
			users[used] = append(users[used], store.KeyOf(r).String())
		}
	}
	var orphans []Orphan
	for _, step := range steps {
		if used := users[step.id()]; step.Action == Remove && len(used) > 0 {
			slices.Sort(used)
			orphans = append(orphans, Orphan{ID: step.ID(), UsedBy: slices.Compact(used)})
		}
	}
	return orphans
}

// references are what a resource cannot do without: a bot its roles, a token rule its bot.
func references(r rules.Resource) []store.Key {
	switch r := r.(type) {
	case *rules.Bot:
		roles := make([]store.Key, len(r.Roles))
		for i, name := range r.Roles {
			roles[i] = store.Key{Kind: rules.KindRole, Name: name}
		}
		return roles
	case *rules.TokenRule:
		return []store.Key{{Kind: rules.KindBot, Name: r.BotName}}
	}
	return nil
}

// Unlocks says what removing a lock lets happen again, given the locks that are stored
// once it is gone.
func Unlocks(lock *rules.Lock, after []*rules.Lock, now time.Time) string {
	what := TargetID(lock.Target)
	if !lock.Expires.IsZero() && !now.Before(lock.Expires) {
		return fmt.Sprintf("it had expired: %s was not stopped by it", what)
	}
	var others []string
	for _, other := range after {
		if !other.Expires.IsZero() && !now.Before(other.Expires) {
			continue
		}
		if other.Target == lock.Target || other.Target.All {
			others = append(others, store.KeyOf(other).String())
		}
	}
	if len(others) > 0 {
		return fmt.Sprintf("%s stays locked by %s", what, strings.Join(others, ", "))
	}
	return "unlocks " + what
}
