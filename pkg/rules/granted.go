package rules

// RoleGrant is what one role grants a bot.
type RoleGrant struct {
	Role string
	// Allow is the role's, with templates filled in and without what any of the
	// bot's roles denies; each value once, sorted.
	Allow Conditions
}

// Granted returns what each of the bot's roles grants it, in the bot's order.
// roles are those that exist of the ones that the bot names. It is for telling
// people; Grant says what a credential gets.
func (b *Bot) Granted(roles []*Role) []RoleGrant {
	g := &granter{bot: b}
	for _, name := range b.Roles {
		if r := find(roles, name); r != nil {
			g.all = append(g.all, r)
		}
	}
	var out []RoleGrant
	for _, r := range g.all {
		allow := r.Allow
		for _, field := range grantFields() {
			*allow.list(field) = sorted(g.values(r, field))
		}
		out = append(out, RoleGrant{Role: r.Name(), Allow: allow})
	}
	return out
}
