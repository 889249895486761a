package rules

import (
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Kind is the kind of a resource.
type Kind string

// The four kinds.
const (
	KindBot   Kind = "bot"
	KindToken Kind = "token"
	KindRole  Kind = "role"
	KindLock  Kind = "lock"
)

// Resource is one of *Bot, *TokenRule, *Role and *Lock: parsed, valid, in canonical
// form, and not to be changed afterwards.
type Resource interface {
	Kind() Kind
	Name() string
	Meta() Metadata
}

// The types below are a resource as its file says it: the json tags are the fields of
// its spec, by which files are read, what is stored is encoded and the JSON Schema is
// made. A text that is tagged as prose may be written and be empty.

// Metadata is what every resource has.
type Metadata struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty" rules:"prose"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Expires is when a token ceases to admit anyone; zero means never. For a
	// lock see Lock.Expires.
	Expires time.Time `json:"expires,omitzero"`
}

// Bot is who a job becomes by joining.
type Bot struct {
	Metadata      Metadata      `json:"-"`
	Roles         []string      `json:"roles,omitempty"`          // names, in the order written; may be empty
	Traits        []Trait       `json:"traits,omitempty"`         // sorted by name
	MaxSessionTTL time.Duration `json:"max_session_ttl,omitzero"` // 0 means no limit of its own
}

// Trait is what {{internal.NAME}} and {{external.NAME}} stand for.
type Trait struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// TokenRule says which jobs may join as which bot.
type TokenRule struct {
	Metadata    Metadata      `json:"-"`
	Roles       []string      `json:"roles"`       // exactly Bot: what joins is a bot
	JoinMethod  string        `json:"join_method"` // of a provider
	BotName     string        `json:"bot_name"`
	MaxJoins    int           `json:"max_joins"`              // joins that one ID token may make, 1 to 100
	MaxTokenAge time.Duration `json:"max_token_age,omitzero"` // of an ID token since its iat, at most 24 h
	Bind        string        `json:"bind,omitempty"`         // BindRequired, or "" for BindOptional
	// Sections has one section, that of the join method.
	Sections Sections `json:",embed"`
}

// The values of bind, which says whether an ID token must be bound to the one request that
// it is for.
const (
	BindOptional = "optional" // bound or not; the default, which is left out once it is read
	BindRequired = "required" // an ID token that is not bound is refused
)

// Sections are the parts of a token rule for single CIs, by their join methods.
type Sections map[string]provider.Section

// Role is what its bots are granted.
type Role struct {
	Metadata Metadata   `json:"-"`
	Version  string     `json:"-"` // v3 to v8
	Allow    Conditions `json:"allow,omitzero"`
	Deny     Conditions `json:"deny,omitzero"` // literals only; wins over every role's Allow
	Options  Options    `json:"options,omitzero"`
}

// Conditions are the grants of a role, or what it denies. A value of Allow may
// be a whole template: {{internal.TRAIT}} or {{external.TRAIT}}.
type Conditions struct {
	Logins []string `json:"logins,omitempty"`
	// NodeLabels are what a host must have for Logins to be let in there: each of the
	// labels, with one of its values. Nil means any host. In Allow only.
	NodeLabels       NodeLabels `json:"node_labels,omitzero"`
	DBUsers          []string   `json:"db_users,omitempty"`
	DBNames          []string   `json:"db_names,omitempty"`
	KubernetesUsers  []string   `json:"kubernetes_users,omitempty"`
	KubernetesGroups []string   `json:"kubernetes_groups,omitempty"`
	AppNames         []string   `json:"app_names,omitempty"`
	JWTAudiences     []string   `json:"jwt_audiences,omitempty"`
}

// NodeLabels are labels with the values that each may have.
type NodeLabels map[string][]string

// Options of a role. The zero value is the strictest.
type Options struct {
	MaxSessionTTL   time.Duration   `json:"max_session_ttl,omitzero"` // 0 means no limit of its own
	PermitPTY       bool            `json:"permit_pty,omitzero"`
	PortForwarding  bool            `json:"port_forwarding,omitzero"`
	AgentForwarding bool            `json:"agent_forwarding,omitzero"`
	X11Forwarding   bool            `json:"x11_forwarding,omitzero"`
	PinSourceIP     bool            `json:"pin_source_ip,omitzero"`
	ForceCommand    string          `json:"force_command,omitempty" rules:"prose"`
	CertExtensions  []CertExtension `json:"cert_extensions,omitempty"`
}

// CertExtension is put into SSH certificates as it stands. Its name has an @.
type CertExtension struct {
	Type  string `json:"type"` // "ssh"
	Mode  string `json:"mode"` // "extension"
	Name  string `json:"name"`
	Value string `json:"value" rules:"prose"`
}

// Lock stops joins: of one bot, by one token rule, of bots with one role, or all.
type Lock struct {
	Metadata Metadata  `json:"-"`
	Target   Target    `json:"target"`
	Message  string    `json:"message,omitempty" rules:"prose"`
	Expires  time.Time `json:"expires,omitzero"` // zero means until it is removed
}

// Target is what a lock stops. Exactly one field is set.
type Target struct {
	Bot   string `json:"bot,omitempty"`
	Token string `json:"token,omitempty"`
	Role  string `json:"role,omitempty"`
	All   bool   `json:"all,omitzero"`
}

// The Resource methods.
func (*Bot) Kind() Kind             { return KindBot }
func (*TokenRule) Kind() Kind       { return KindToken }
func (*Role) Kind() Kind            { return KindRole }
func (*Lock) Kind() Kind            { return KindLock }
func (b *Bot) Name() string         { return b.Metadata.Name }
func (t *TokenRule) Name() string   { return t.Metadata.Name }
func (r *Role) Name() string        { return r.Metadata.Name }
func (l *Lock) Name() string        { return l.Metadata.Name }
func (b *Bot) Meta() Metadata       { return b.Metadata }
func (t *TokenRule) Meta() Metadata { return t.Metadata }
func (r *Role) Meta() Metadata      { return r.Metadata }
func (l *Lock) Meta() Metadata      { return l.Metadata }
