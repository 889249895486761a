package rules

import (
	"slices"
	"time"
)

// ActiveLock returns the first lock that stops a join of a bot by a token rule
// at now, or nil if none does. roles are the bot's. Entries may be nil.
func ActiveLock(locks []*Lock, bot, token string, roles []string, now time.Time) *Lock {
	for _, l := range locks {
		if l != nil && !over(l.Expires, now) && l.Target.covers(bot, token, roles) {
			return l
		}
	}
	return nil
}

func (t Target) covers(bot, token string, roles []string) bool {
	return t.All ||
		t.Bot != "" && t.Bot == bot ||
		t.Token != "" && t.Token == token ||
		t.Role != "" && slices.Contains(roles, t.Role)
}
