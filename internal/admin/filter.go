package admin

import (
	"slices"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Filter chooses resources. What is empty chooses all; the rest must all fit.
type Filter struct {
	// Bot chooses what has to do with a bot: itself, its token rules, its roles,
	// and the locks that stop it.
	Bot string
	// Role chooses what has to do with a role: itself, the bots that have it,
	// their token rules, and the locks that stop it.
	Role string
	// Method chooses token rules by their join method, and nothing else.
	Method string
	Labels Selector
}

// Relates tells whether the filter asks how resources relate, so that State must
// have all kinds.
func (f Filter) Relates() bool { return f.Bot != "" || f.Role != "" }

// Choose returns those of s that fit, in its order.
func (s State) Choose(f Filter) []store.Stored {
	var chosen []store.Stored
	for _, stored := range s.order {
		if s.fits(stored.Resource, f) {
			chosen = append(chosen, stored)
		}
	}
	return chosen
}

func (s State) fits(r rules.Resource, f Filter) bool {
	if len(f.Labels.labels) > 0 && !f.Labels.Selects(r) {
		return false
	}
	if t, ok := r.(*rules.TokenRule); f.Method != "" && (!ok || t.JoinMethod != f.Method) {
		return false
	}
	switch r := r.(type) {
	case *rules.Bot:
		return f.fitsBot(r.Name()) && (f.Role == "" || slices.Contains(r.Roles, f.Role))
	case *rules.TokenRule:
		return f.fitsBot(r.BotName) && (f.Role == "" || slices.Contains(s.rolesOf(r.BotName), f.Role))
	case *rules.Role:
		return (f.Role == "" || r.Name() == f.Role) && (f.Bot == "" || slices.Contains(s.rolesOf(f.Bot), r.Name()))
	case *rules.Lock:
		return s.stops(r.Target, f)
	}
	return false
}

func (f Filter) fitsBot(name string) bool { return f.Bot == "" || name == f.Bot }

// stops tells whether a lock stops the bot and the role that are asked for.
func (s State) stops(t rules.Target, f Filter) bool {
	bot := f.Bot == "" || t.Bot == f.Bot || slices.Contains(s.rolesOf(f.Bot), t.Role)
	role := f.Role == "" || t.Role == f.Role
	return t.All || bot && role
}

func (s State) rolesOf(bot string) []string {
	stored, _ := s.Get(rules.KindBot, bot)
	if b, ok := stored.Resource.(*rules.Bot); ok {
		return b.Roles
	}
	return nil
}
