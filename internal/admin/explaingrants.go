package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// roles says what the bot is granted.
func (e *explainer) roles(ctx context.Context, bot *rules.Bot) (err error) {
	var roles []*rules.Role
	if len(bot.Roles) > 0 {
		if roles, err = store.Roles(ctx, e.reasons, bot.Roles); err != nil {
			return err
		}
	}
	if missing := missingRoles(bot, roles); len(missing) > 0 {
		e.add("roles", "not_permitted", "these do not exist: "+strings.Join(missing, ", "))
		return nil
	}
	e.add("roles", store.CodeOK, cmp.Or(strings.Join(bot.Roles, ", "), "-"))
	for _, g := range bot.Granted(roles) {
		e.Grants = append(e.Grants, RoleGrants{g.Role, describe(g.Allow)})
	}
	for i, w := range e.q.Wishes {
		if _, err := bot.Grant(roles, w); err != nil {
			e.add(fmt.Sprintf("credentials[%d]", i), "not_permitted", err.Error())
		}
	}
	e.SSH = sshGrant(bot, roles, e.q.Wishes)
	ttl, limitedBy := rules.TTL(e.q.TTL, cert.MaxTTL, bot, rules.Applicable(bot, roles, e.q.Wishes))
	e.TTLSeconds, e.TTLLimitedBy = int64(ttl/time.Second), limitedBy
	return nil
}

// sshGrant is for the first SSH certificate that is asked for, or one of all roles.
func sshGrant(bot *rules.Bot, roles []*rules.Role, wishes []rules.Wish) *SSHGrant {
	wish := rules.Wish{Type: "ssh"}
	if i := slices.IndexFunc(wishes, func(w rules.Wish) bool { return w.Type == "ssh" }); i >= 0 {
		wish = wishes[i]
	}
	granted, err := bot.Grant(roles, wish)
	if err != nil {
		return &SSHGrant{Principals: []string{}, Refused: err.Error()}
	}
	s := &SSHGrant{Principals: granted.Principals, ForceCommand: granted.ForceCommand, PinSourceIP: granted.PinSourceIP}
	s.Extensions = slices.Sorted(maps.Keys(granted.Extensions))
	return s
}

func missingRoles(bot *rules.Bot, roles []*rules.Role) []string {
	known := map[string]bool{}
	for _, r := range roles {
		known[r.Name()] = true
	}
	var missing []string
	for _, name := range bot.Roles {
		if !known[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// describe lists what a role allows.
func describe(c rules.Conditions) string {
	var parts []string
	for _, part := range []struct {
		name   string
		values []string
	}{
		{"logins", c.Logins}, {"db_users", c.DBUsers}, {"db_names", c.DBNames},
		{"kubernetes_users", c.KubernetesUsers}, {"kubernetes_groups", c.KubernetesGroups},
		{"app_names", c.AppNames}, {"jwt_audiences", c.JWTAudiences},
	} {
		if len(part.values) > 0 {
			parts = append(parts, part.name+" "+strings.Join(part.values, ","))
		}
		if hosts := c.Hosts(); part.name == "logins" && hosts != "" {
			parts = append(parts, "node_labels "+hosts)
		}
	}
	return cmp.Or(strings.Join(parts, "; "), "-")
}
