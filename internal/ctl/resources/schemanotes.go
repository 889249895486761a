package resources

import (
	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// note is what the types do not say of a field.
type note struct {
	text     string // what it means, for the person who writes it
	more     object // how its values look
	instead  object // the same, in place of what the type says
	optional bool   // it may be left out, though its tag does not say so
	absent   bool   // it is not a field there
}

const (
	uuid       = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`
	orTemplate = `\{\{\s*(internal|external)\.[A-Za-z0-9_][A-Za-z0-9_.-]*\s*\}\}`
)

func pattern(p string) object { return object{{"pattern", p}} }
func atLeast(n int) object    { return object{{"minItems", n}} }

// Shapes of values. Nothing assigns to them.
var (
	filled    = object{{"minLength", 1}}
	named     = object{{"pattern", "^[a-z0-9][a-z0-9._-]*$"}, {"maxLength", 253}}
	botName   = object{{"pattern", "^[a-z0-9][a-z0-9._-]*$"}, {"maxLength", 64}}
	ids       = pattern(`^(\{` + uuid + `\}|` + uuid + `)$`)
	durations = object{{"pattern", `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`}, {"examples", []string{"15m", "1h", "12h"}}}
	times     = object{{"examples", []string{"2100-01-01T00:00:00Z"}}}
	issuers   = object{{"pattern", `^https://[^?#]*[^/?#]$`}, {"maxLength", 512}}
	audiences = object{{"pattern", `^[^*]+$`}, {"maxLength", 256}}
	matched   = object{{"minLength", 1}, {"maxLength", 512}}
	granted   = pattern(`^[^*]+$`)
)

// notes are the notes of all files, by path.
func notes() map[string]note {
	all := map[string]note{}
	for kind, limit := range map[string]object{"bot": botName, "token": named, "role": named, "lock": named} {
		all[kind+".metadata"] = note{text: "what every resource has"}
		all[kind+".metadata.name"] = note{text: "a-z or 0-9 first, then also dot, underscore and hyphen", more: limit}
		all[kind+".metadata.description"] = note{text: "for people; may have several lines"}
		all[kind+".metadata.labels"] = note{text: "for people and for gatepassctl; they decide nothing"}
		all[kind+".metadata.expires"] = note{absent: true}
	}
	all["token.metadata.expires"] = note{text: "from then on the rule lets nobody in; without it, it holds until it is removed", more: times}
	for _, more := range []map[string]note{botNotes(), tokenNotes(), roleNotes(), lockNotes(), caseNotes()} {
		for at, n := range more {
			all[at] = n
		}
	}
	return all
}

func botNotes() map[string]note {
	return map[string]note{
		"bot.spec":                   {text: "who the jobs become"},
		"bot.spec.roles":             {text: "roles that say what the bot is granted; [] for nothing but its identity", more: object{{"maxItems", 100}, {"uniqueItems", true}}},
		"bot.spec.roles[]":           {more: named},
		"bot.spec.traits":            {text: "values for templates of roles", more: object{{"maxItems", 100}}},
		"bot.spec.traits[].name":     {text: "as in {{internal.NAME}}", more: object{{"pattern", "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"}, {"maxLength", 64}}},
		"bot.spec.traits[].values":   {text: "what the template stands for", optional: true, more: object{{"uniqueItems", true}}},
		"bot.spec.traits[].values[]": {more: object{{"minLength", 1}, {"maxLength", 256}}},
		"bot.spec.max_session_ttl":   {text: "no credential of the bot lives longer", more: durations},
	}
}

func tokenNotes() map[string]note {
	return map[string]note{
		"token.spec":               {text: "which jobs may join, as which bot", more: object{{"allOf", methodConditions()}}},
		"token.spec.roles":         {text: "exactly [Bot]: what joins is a bot", more: object{{"minItems", 1}, {"maxItems", 1}}},
		"token.spec.roles[]":       {instead: object{{"const", "Bot"}}},
		"token.spec.join_method":   {text: "the CI system whose jobs join", more: object{{"enum", provider.Methods()}}},
		"token.spec.bot_name":      {text: "the bot that jobs become", more: botName},
		"token.spec.max_joins":     {text: "joins that one ID token may make; 1 by default", optional: true, more: object{{"minimum", 1}, {"maximum", 100}, {"default", 1}}},
		"token.spec.bind":          {text: "required: an ID token that is not bound to its request is refused, which needs a CI that mints on demand; optional by default", more: object{{"enum", []string{rules.BindOptional, rules.BindRequired}}}},
		"token.spec.max_token_age": {text: "an ID token issued longer ago is refused; 1h by default, at most 24h", more: durations},
	}
}

func roleNotes() map[string]note {
	all := map[string]note{
		"role.spec":                                 {text: "what its bots are granted"},
		"role.spec.allow":                           {text: "what is granted"},
		"role.spec.deny":                            {text: "what no role of the bot may grant; literal values"},
		"role.spec.options":                         {text: "limits, and what SSH sessions may do; all off by default"},
		"role.spec.options.max_session_ttl":         {text: "no credential that the role applies to lives longer", more: durations},
		"role.spec.options.permit_pty":              {text: "SSH sessions may have a terminal"},
		"role.spec.options.port_forwarding":         {text: "SSH sessions may forward ports"},
		"role.spec.options.agent_forwarding":        {text: "SSH sessions may forward an agent"},
		"role.spec.options.x11_forwarding":          {text: "SSH sessions may forward X11"},
		"role.spec.options.pin_source_ip":           {text: "SSH certificates are good from the caller's address only"},
		"role.spec.options.force_command":           {text: "the only command that SSH certificates run", more: object{{"maxLength", 4096}}},
		"role.spec.options.cert_extensions":         {text: "further extensions of SSH certificates", more: object{{"maxItems", 32}}},
		"role.spec.options.cert_extensions[].type":  {text: "ssh", instead: object{{"const", "ssh"}}},
		"role.spec.options.cert_extensions[].mode":  {text: "extension", instead: object{{"const", "extension"}}},
		"role.spec.options.cert_extensions[].name":  {text: "NAME@DOMAIN", more: pattern(`^[^@]+@.+$`)},
		"role.spec.options.cert_extensions[].value": {text: "what it says", optional: true, more: object{{"maxLength", 512}}},
		"role.spec.deny.node_labels":                {absent: true},
		"role.spec.allow.node_labels":               {text: "on which hosts the logins are good: those that have every label, with one of its values", instead: nodeLabels()},
	}
	for name, text := range map[string]string{
		"logins": "accounts on SSH hosts", "db_users": "database users", "db_names": "databases",
		"kubernetes_users": "Kubernetes users", "kubernetes_groups": "Kubernetes groups that come with them, and with a JWT",
		"app_names": "applications", "jwt_audiences": "audiences of JWTs",
	} {
		values := granted
		if name == "logins" {
			values = pattern(`^([A-Za-z_][A-Za-z0-9_.@-]*|` + orTemplate + `)$`)
		}
		all["role.spec.allow."+name] = note{text: text, more: object{{"uniqueItems", true}}}
		all["role.spec.deny."+name] = note{text: text, more: object{{"uniqueItems", true}}}
		all["role.spec.allow."+name+"[]"], all["role.spec.deny."+name+"[]"] = note{more: values}, note{more: values}
	}
	return all
}

// nodeLabels are written with one value or several.
func nodeLabels() object {
	one := object{{"type", "string"}, {"minLength", 1}}
	several := object{{"type", "array"}, {"items", one}, {"minItems", 1}}
	return object{{"type", "object"}, {"additionalProperties", object{{"anyOf", []object{one, several}}}}, {"minProperties", 1}}
}

func lockNotes() map[string]note {
	return map[string]note{
		"lock.spec":              {text: "what is stopped, and why"},
		"lock.spec.target":       {text: "exactly one of bot, token, role and all: true", more: object{{"minProperties", 1}}},
		"lock.spec.target.bot":   {text: "joins of this bot", more: botName},
		"lock.spec.target.token": {text: "joins by this token rule", more: named},
		"lock.spec.target.role":  {text: "joins of every bot with this role", more: named},
		"lock.spec.target.all":   {text: "all joins"},
		"lock.spec.message":      {text: "why; it is told to who is refused, and recorded"},
		"lock.spec.expires":      {text: "the lock is over from then on; without it, when it is removed", more: times},
	}
}

func caseNotes() map[string]note {
	const claims = "claims of the ID token, by the CI's own names"
	return map[string]note{
		"cases":                                       {text: "jobs, and what their joins shall come to; described in docs/explain.md"},
		"cases.defaults":                              {text: "what every case has, save what it says itself"},
		"cases.defaults.token":                        {text: "the token rule that jobs join by", more: named},
		"cases.defaults.claims":                       {text: claims},
		"cases.defaults.at":                           {text: "when the jobs join; now by default"},
		"cases.cases":                                 {text: "the cases", more: atLeast(1)},
		"cases.cases[].name":                          {text: "in a few words, what is expected", more: filled},
		"cases.cases[].token":                         {text: "the token rule that the job joins by", more: named},
		"cases.cases[].claims":                        {text: claims + ", laid over the defaults; null takes one away"},
		"cases.cases[].claims_file":                   {text: "file of claims as JSON, beside this one", more: filled},
		"cases.cases[].at":                            {text: "when the job joins; now by default"},
		"cases.cases[].ttl":                           {text: "the lifetime asked for", more: durations},
		"cases.cases[].credentials":                   {text: "the credentials asked for: a refused one refuses the join", more: object{{"maxItems", 16}}},
		"cases.cases[].credentials[].type":            {text: "ssh, x509 or jwt", more: object{{"enum", []string{"ssh", "x509", "jwt"}}}},
		"cases.cases[].credentials[].usage":           {text: "of x509: what for", more: object{{"enum", []string{"identity", "database", "application", "kubernetes"}}}},
		"cases.cases[].credentials[].db_user":         {text: "of database: the user", more: filled},
		"cases.cases[].credentials[].db_name":         {text: "of database: the database", more: filled},
		"cases.cases[].credentials[].app":             {text: "of application: its name", more: filled},
		"cases.cases[].credentials[].kubernetes_user": {text: "of kubernetes: the user", more: filled},
		"cases.cases[].credentials[].audience":        {text: "of jwt: who it is for", more: filled},
		"cases.cases[].credentials[].roles":           {text: "the bot's roles that shall grant it; all if left out", more: atLeast(1)},
		"cases.cases[].want":                          {text: "join, or the code of the refusal", more: object{{"enum", admin.CaseWants()}}},
		"cases.cases[].bot":                           {text: "the bot that the job becomes", more: botName},
		"cases.cases[].rule":                          {text: "the allow rule that matches, counted from 0", more: object{{"minimum", 0}}},
		"cases.cases[].logins":                        {text: "exactly the principals of an SSH certificate: logins, and LOGIN@NAME=VALUE where a role has node_labels"},
		"cases.cases[].grants_ttl":                    {text: "exactly the lifetime that is granted", more: durations},
	}
}
