package rules

import (
	"slices"
	"time"
)

// DefaultTTL is the lifetime of credentials when none is asked for.
const DefaultTTL = 15 * time.Minute

// Applicable returns the bot's roles that apply to a join, in the bot's order:
// those that its wishes name, and all if a wish names none.
func Applicable(bot *Bot, roles []*Role, wishes []Wish) []*Role {
	all := len(wishes) == 0 || slices.ContainsFunc(wishes, func(w Wish) bool { return len(w.Roles) == 0 })
	var out []*Role
	for _, name := range bot.Roles {
		named := slices.ContainsFunc(wishes, func(w Wish) bool { return slices.Contains(w.Roles, name) })
		if r := find(roles, name); r != nil && (all || named) {
			out = append(out, r)
		}
	}
	return out
}

// TTL returns the lifetime of a join's credentials: what is asked for, or
// DefaultTTL if requested is 0, but no more than the bot, the roles and the
// server allow. limitedBy names the smallest limit if it cut the lifetime:
// "bot", "role:NAME" or "server", the first of them if they are equal; else it
// is "". The server's limit always holds, also one of 0.
func TTL(requested, server time.Duration, bot *Bot, roles []*Role) (ttl time.Duration, limitedBy string) {
	ttl = requested
	if requested <= 0 {
		ttl = DefaultTTL
	}
	if limit := bot.MaxSessionTTL; limit > 0 && limit < ttl {
		ttl, limitedBy = limit, "bot"
	}
	for _, r := range roles {
		if r == nil {
			continue
		}
		if limit := r.Options.MaxSessionTTL; limit > 0 && limit < ttl {
			ttl, limitedBy = limit, "role:"+r.Name()
		}
	}
	if server < ttl {
		ttl, limitedBy = max(server, 0), "server"
	}
	return ttl, limitedBy
}

// find returns the role of a name, or nil.
func find(roles []*Role, name string) *Role {
	for _, r := range roles {
		if r != nil && r.Name() == name {
			return r
		}
	}
	return nil
}
