package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Wish is one credential that a job asks for.
type Wish struct {
	Type  string // "ssh", "x509" or "jwt"
	Usage string // of x509: "identity", "database", "application" or "kubernetes"

	DBUser         string // of database; required
	DBName         string // of database; may be empty
	App            string // of application; required
	KubernetesUser string // of kubernetes; required
	Audience       string // of jwt; required

	// Roles are those of the bot's roles that shall grant it; empty means all.
	Roles []string
}

// Grant is what a bot is granted for one wish.
type Grant struct {
	// Roles are the names of the roles that granted it, in the bot's order;
	// none for an identity, which every bot has.
	Roles []string
	// Principals of an SSH certificate, sorted, 1 to 256: logins, good on every host,
	// and LOGIN@NAME=VALUE,… where a role has node_labels, good on hosts with all of them.
	Principals []string
	// Extensions of an SSH certificate, with their values.
	Extensions map[string]string
	// ForceCommand of an SSH certificate; empty if there is none.
	ForceCommand string
	// PinSourceIP says that an SSH certificate is for the caller's address only.
	PinSourceIP bool
	// KubernetesGroups of a kubernetes certificate or a JWT, sorted.
	KubernetesGroups []string
}

// NotPermittedError says that a bot may not have what it asked for.
type NotPermittedError struct {
	// Field of the wish that it is about, such as "db_user".
	Field string
	// Message is fit for the caller's build log: it names what was asked for,
	// and no other value of the rules.
	Message string
}

func (e *NotPermittedError) Error() string { return e.Field + ": " + e.Message }

func notPermitted(field, format string, args ...any) *NotPermittedError {
	return &NotPermittedError{Field: field, Message: fmt.Sprintf(format, args...)}
}

// maxPrincipals is how many principals OpenSSH takes in a certificate
// (SSHKEY_CERT_MAX_PRINCIPALS).
const maxPrincipals = 256

// maxPrincipalsSize bounds the principals of one certificate in bytes: the record of a
// join holds those of 16, and a DynamoDB item takes 400 KB.
const maxPrincipalsSize = 16 << 10

// maxGroups is how many Kubernetes groups a certificate takes.
const maxGroups = 256

// Grant says what the bot gets for a wish, or a *NotPermittedError. roles are
// the roles that exist of those the bot names. A role that is missing refuses
// every wish, since it might have denied something.
func (b *Bot) Grant(roles []*Role, w Wish) (*Grant, error) {
	g := &granter{bot: b}
	for _, name := range b.Roles {
		r := find(roles, name)
		if r == nil {
			return nil, notPermitted("roles", "a role of the bot does not exist; ask an administrator to create it, or to take it from the bot")
		}
		g.all = append(g.all, r)
	}
	for _, name := range w.Roles {
		if !slices.Contains(b.Roles, name) {
			return nil, notPermitted("roles", "the bot does not have the role %.256q; name roles that it has, or none", name)
		}
	}
	for _, r := range g.all {
		if len(w.Roles) == 0 || slices.Contains(w.Roles, r.Name()) {
			g.selected = append(g.selected, r)
		}
	}
	grant, not := g.grant(w)
	if not != nil {
		return nil, not
	}
	return grant, nil
}

// granter works out one grant.
type granter struct {
	bot      *Bot
	all      []*Role // the bot's, each of which may deny
	selected []*Role // of them, those that may grant
}

func (g *granter) grant(w Wish) (*Grant, *NotPermittedError) {
	switch w.Type {
	case "ssh":
		return g.ssh()
	case "jwt":
		return g.one("audience", fmt.Sprintf("a JWT for the audience %.256q", w.Audience),
			want{fieldJWTAudiences, w.Audience})
	case "x509":
	default:
		return nil, notPermitted("type", "%.64q is no type of credential; ask for ssh, x509 or jwt", w.Type)
	}
	switch w.Usage {
	case "identity":
		return &Grant{}, nil
	case "database":
		return g.database(w)
	case "application":
		return g.one("app", fmt.Sprintf("the application %.256q", w.App), want{fieldAppNames, w.App})
	case "kubernetes":
		return g.one("kubernetes_user", fmt.Sprintf("the Kubernetes user %.256q", w.KubernetesUser),
			want{fieldKubernetesUsers, w.KubernetesUser})
	}
	return nil, notPermitted("usage", "%.64q is no usage of a certificate; ask for identity, database, application or kubernetes", w.Usage)
}

func (g *granter) database(w Wish) (*Grant, *NotPermittedError) {
	user := want{fieldDBUsers, w.DBUser}
	if w.DBName == "" {
		return g.one("db_user", fmt.Sprintf("the database user %.256q", w.DBUser), user)
	}
	return g.one("db_user", fmt.Sprintf("the database user %.256q on the database %.256q", w.DBUser, w.DBName),
		user, want{fieldDBNames, w.DBName})
}

// want is one value that a role has to grant.
type want struct{ field, value string }

// one finds the first role that grants all that is wanted. Nothing is combined
// across roles: app on orders and admin on test do not make admin on orders.
func (g *granter) one(field, what string, wants ...want) (*Grant, *NotPermittedError) {
	if wants[0].value == "" {
		return nil, notPermitted(field, "is missing; name what the credential is for")
	}
	for _, r := range g.selected {
		lacks := func(w want) bool { return !slices.Contains(g.values(r, w.field), w.value) }
		if !slices.ContainsFunc(wants, lacks) {
			granted := &Grant{Roles: []string{r.Name()}}
			if field == "kubernetes_user" || field == "audience" {
				granted.KubernetesGroups = sorted(g.values(r, fieldKubernetesGroups))
			}
			if n := len(granted.KubernetesGroups); n > maxGroups {
				return nil, notPermitted(field, "the role that grants it %s has %d Kubernetes groups, and a certificate takes %d; ask an administrator to split the role", what, n, maxGroups)
			}
			return granted, nil
		}
	}
	return nil, notPermitted(field, "no role of the bot grants it %s; ask for what it is granted, or an administrator to add it to a role", what)
}

// ssh unites the logins of all selected roles. What limits a session holds if
// any role has it, and what widens one only if every role that grants a login does.
func (g *granter) ssh() (*Grant, *NotPermittedError) {
	granted := &Grant{Extensions: map[string]string{}}
	var granting []*Role
	for _, r := range g.selected {
		granted.PinSourceIP = granted.PinSourceIP || r.Options.PinSourceIP
		logins := sorted(g.values(r, fieldLogins))
		if len(logins) == 0 {
			continue
		}
		granting = append(granting, r)
		granted.Roles = append(granted.Roles, r.Name())
		on := combinations(r.Allow.NodeLabels)
		if not := checkPrincipals(len(logins)*len(on), 0); not != nil {
			return nil, not
		}
		for _, login := range logins {
			for _, labels := range on {
				granted.Principals = append(granted.Principals, principal(login, labels))
			}
		}
	}
	if len(granted.Principals) == 0 {
		return nil, notPermitted("logins", "the roles asked for grant the bot no SSH login; ask an administrator to add one to a role, or do not ask for an SSH certificate")
	}
	granted.Principals = sorted(granted.Principals)
	if not := checkPrincipals(len(granted.Principals), len(strings.Join(granted.Principals, ""))); not != nil {
		return nil, not
	}
	if not := granted.addOptions(granting); not != nil {
		return nil, not
	}
	return granted, nil
}

// checkPrincipals refuses more principals than a certificate or a record takes.
func checkPrincipals(n, size int) *NotPermittedError {
	switch {
	case n > maxPrincipals:
		return notPermitted("logins", "the bot's logins, with the hosts that they are for, make %d principals, and an SSH certificate takes %d; name fewer roles", n, maxPrincipals)
	case size > maxPrincipalsSize:
		return notPermitted("logins", "the bot's logins, with the hosts that they are for, make principals of %d bytes, and an SSH certificate takes %d here; name fewer roles", size, maxPrincipalsSize)
	}
	return nil
}

func (granted *Grant) addOptions(granting []*Role) *NotPermittedError {
	every := func(has func(Options) bool) bool {
		return !slices.ContainsFunc(granting, func(r *Role) bool { return !has(r.Options) })
	}
	for name, has := range map[string]func(Options) bool{
		"permit-pty":              func(o Options) bool { return o.PermitPTY },
		"permit-port-forwarding":  func(o Options) bool { return o.PortForwarding },
		"permit-agent-forwarding": func(o Options) bool { return o.AgentForwarding },
		"permit-X11-forwarding":   func(o Options) bool { return o.X11Forwarding },
	} {
		if every(has) {
			granted.Extensions[name] = ""
		}
	}
	granted.ForceCommand = granting[0].Options.ForceCommand
	for _, r := range granting {
		if r.Options.ForceCommand != granted.ForceCommand {
			return notPermitted("roles", "the bot's roles force different commands, and an SSH certificate takes one; name roles that agree")
		}
		for _, e := range r.Options.CertExtensions {
			if value, ok := granted.Extensions[e.Name]; ok && value != e.Value {
				return notPermitted("roles", "the bot's roles give a certificate extension different values; name roles that agree")
			}
			granted.Extensions[e.Name] = e.Value
		}
	}
	return nil
}

// values returns what a role grants in one list, templates filled in, without
// what any of the bot's roles denies. A trait's value that could not have been
// written in the role grants nothing.
func (g *granter) values(r *Role, field string) []string {
	var out []string
	add := func(s string) {
		denied := slices.ContainsFunc(g.all, func(r *Role) bool { return slices.Contains(*r.Deny.list(field), s) })
		if !denied && checkGrant(field, s) == "" {
			out = append(out, s)
		}
	}
	for _, s := range *r.Allow.list(field) {
		name, ok := trait(s)
		if !ok {
			add(s)
			continue
		}
		for _, value := range g.bot.trait(name) {
			if !strings.Contains(value, "{{") && !strings.Contains(value, "}}") {
				add(value)
			}
		}
	}
	return out
}

// list returns one list of grants by its name.
func (c *Conditions) list(field string) *[]string {
	switch field {
	case fieldLogins:
		return &c.Logins
	case fieldDBUsers:
		return &c.DBUsers
	case fieldDBNames:
		return &c.DBNames
	case fieldKubernetesUsers:
		return &c.KubernetesUsers
	case fieldKubernetesGroups:
		return &c.KubernetesGroups
	case fieldAppNames:
		return &c.AppNames
	case fieldJWTAudiences:
		return &c.JWTAudiences
	}
	return new([]string)
}

// trait returns the values of a trait; none if the bot does not have it.
func (b *Bot) trait(name string) []string {
	for _, t := range b.Traits {
		if t.Name == name {
			return t.Values
		}
	}
	return nil
}

// sorted returns the different strings of a list in their order; nil for none.
func sorted(list []string) []string {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return slices.Sorted(maps.Keys(set))
}
