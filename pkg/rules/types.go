package rules

import "time"

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

// Metadata is what every resource has.
type Metadata struct {
	Name        string
	Description string
	Labels      map[string]string
	// Expires is when a token ceases to admit anyone; zero means never. For a
	// lock see Lock.Expires.
	Expires time.Time
}

// Bot is who a job becomes by joining.
type Bot struct {
	Metadata      Metadata
	Roles         []string            // names, in the order written; may be empty
	Traits        map[string][]string // values for {{internal.NAME}} and {{external.NAME}}
	MaxSessionTTL time.Duration       // 0 means no limit of its own
}

// TokenRule says which jobs may join as which bot.
type TokenRule struct {
	Metadata    Metadata
	JoinMethod  string // "bitbucket" or "circleci"
	BotName     string
	MaxJoins    int           // joins that one ID token may make, 1 to 100
	MaxTokenAge time.Duration // of an ID token since its iat, at most 24 h
	Bitbucket   *Bitbucket    // set exactly if JoinMethod is "bitbucket"
	CircleCI    *CircleCI     // set exactly if JoinMethod is "circleci"
}

// Bitbucket is the part of a token rule for Bitbucket Pipelines.
type Bitbucket struct {
	IdentityProviderURL string
	Audience            string
	EnableGlobMatching  bool
	Allow, Deny         []BitbucketRule
}

// BitbucketRule matches a job all of whose claims equal the fields that are set.
type BitbucketRule struct {
	WorkspaceUUID             string
	RepositoryUUID            string
	DeploymentEnvironmentUUID string
	BranchName                string
}

// CircleCI is the part of a token rule for CircleCI, cloud or server.
type CircleCI struct {
	OrganizationID     string
	Audience           string // as written; Token.Audience gives the default
	Issuer             string // as written; Token.Issuer gives the default
	EnableGlobMatching bool
	AllowSSHRerun      bool
	AllowForks         bool
	Allow, Deny        []CircleCIRule
}

// CircleCIRule matches a job all of whose claims equal the fields that are set;
// ContextID must be one of the job's contexts.
type CircleCIRule struct {
	ContextID            string
	ProjectID            string
	PipelineDefinitionID string
	VCSOrigin            string
	VCSRef               string
}

// Role is what its bots are granted.
type Role struct {
	Metadata Metadata
	Version  string // v3 to v8
	Allow    Conditions
	Deny     Conditions // literals only; wins over every role's Allow
	Options  Options
}

// Conditions are the grants of a role, or what it denies. A value of Allow may
// be a whole template: {{internal.TRAIT}} or {{external.TRAIT}}.
type Conditions struct {
	Logins []string
	// NodeLabels are what a host must have for Logins to be let in there: each of the
	// labels, with one of its values. Nil means any host. In Allow only.
	NodeLabels       map[string][]string
	DBUsers          []string
	DBNames          []string
	KubernetesUsers  []string
	KubernetesGroups []string
	AppNames         []string
	JWTAudiences     []string
}

// Options of a role. The zero value is the strictest.
type Options struct {
	MaxSessionTTL   time.Duration // 0 means no limit of its own
	PermitPTY       bool
	PortForwarding  bool
	AgentForwarding bool
	X11Forwarding   bool
	PinSourceIP     bool
	ForceCommand    string
	CertExtensions  []CertExtension
}

// CertExtension is put into SSH certificates as it stands. Its name has an @.
type CertExtension struct {
	Type  string // "ssh"
	Mode  string // "extension"
	Name  string
	Value string
}

// Lock stops joins: of one bot, by one token rule, of bots with one role, or all.
type Lock struct {
	Metadata Metadata
	Target   Target
	Message  string
	Expires  time.Time // zero means until it is removed
}

// Target is what a lock stops. Exactly one field is set.
type Target struct {
	Bot   string
	Token string
	Role  string
	All   bool
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
