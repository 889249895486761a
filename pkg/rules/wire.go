package rules

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wire is a resource as written: the fields of its file, nothing checked yet.
// Files are read into it, stored resources are decoded into it, and build makes
// a Resource of it, so that both are checked by the same code.
type wire struct {
	header
	bot   *wireBot
	token *wireToken
	role  *wireRole
	lock  *wireLock
}

type header struct {
	Kind     text         `json:"kind"`
	Version  text         `json:"version"`
	Metadata wireMetadata `json:"metadata"`
}

type wireMetadata struct {
	Name        text              `json:"name"`
	Description text              `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Expires     text              `json:"expires,omitempty"`
}

type wireBot struct {
	Roles         []text      `json:"roles,omitempty"`
	Traits        []wireTrait `json:"traits,omitempty"`
	MaxSessionTTL text        `json:"max_session_ttl,omitempty"`
}

type wireTrait struct {
	Name   text   `json:"name"`
	Values []text `json:"values"`
}

type wireToken struct {
	Roles       []text         `json:"roles"`
	JoinMethod  text           `json:"join_method"`
	BotName     text           `json:"bot_name"`
	MaxJoins    *int           `json:"max_joins,omitempty"`
	MaxTokenAge text           `json:"max_token_age,omitempty"`
	Bitbucket   *wireBitbucket `json:"bitbucket,omitempty"`
	CircleCI    *wireCircleCI  `json:"circleci,omitempty"`
}

type wireBitbucket struct {
	IdentityProviderURL text                `json:"identity_provider_url"`
	Audience            text                `json:"audience"`
	EnableGlobMatching  bool                `json:"enable_glob_matching,omitzero"`
	Allow               []wireBitbucketRule `json:"allow"`
	Deny                []wireBitbucketRule `json:"deny,omitempty"`
}

type wireBitbucketRule struct {
	WorkspaceUUID             text `json:"workspace_uuid,omitempty"`
	RepositoryUUID            text `json:"repository_uuid,omitempty"`
	DeploymentEnvironmentUUID text `json:"deployment_environment_uuid,omitempty"`
	BranchName                text `json:"branch_name,omitempty"`
}

type wireCircleCI struct {
	OrganizationID     text               `json:"organization_id"`
	Audience           text               `json:"audience,omitempty"`
	Issuer             text               `json:"issuer,omitempty"`
	EnableGlobMatching bool               `json:"enable_glob_matching,omitzero"`
	AllowSSHRerun      bool               `json:"allow_ssh_rerun,omitzero"`
	AllowForks         bool               `json:"allow_forks,omitzero"`
	Allow              []wireCircleCIRule `json:"allow"`
	Deny               []wireCircleCIRule `json:"deny,omitempty"`
}

type wireCircleCIRule struct {
	ContextID            text `json:"context_id,omitempty"`
	ProjectID            text `json:"project_id,omitempty"`
	PipelineDefinitionID text `json:"pipeline_definition_id,omitempty"`
	VCSOrigin            text `json:"vcs_origin,omitempty"`
	VCSRef               text `json:"vcs_ref,omitempty"`
}

type wireRole struct {
	Allow   wireConditions `json:"allow,omitzero"`
	Deny    wireConditions `json:"deny,omitzero"`
	Options wireOptions    `json:"options,omitzero"`
}

type wireConditions struct {
	Logins           []text     `json:"logins,omitempty"`
	NodeLabels       wireLabels `json:"node_labels,omitzero"`
	DBUsers          []text     `json:"db_users,omitempty"`
	DBNames          []text     `json:"db_names,omitempty"`
	KubernetesUsers  []text     `json:"kubernetes_users,omitempty"`
	KubernetesGroups []text     `json:"kubernetes_groups,omitempty"`
	AppNames         []text     `json:"app_names,omitempty"`
	JWTAudiences     []text     `json:"jwt_audiences,omitempty"`
}

// wireLabels are node_labels that are there. Absent they mean any host, so null,
// which would read as absent, is refused.
type wireLabels map[string][]text

// UnmarshalJSONFrom refuses null.
func (l *wireLabels) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		return errors.New("null; leave the field out")
	}
	*l = wireLabels{}
	return json.UnmarshalDecode(dec, (*map[string][]text)(l))
}

type wireOptions struct {
	MaxSessionTTL   text                `json:"max_session_ttl,omitempty"`
	PermitPTY       bool                `json:"permit_pty,omitzero"`
	PortForwarding  bool                `json:"port_forwarding,omitzero"`
	AgentForwarding bool                `json:"agent_forwarding,omitzero"`
	X11Forwarding   bool                `json:"x11_forwarding,omitzero"`
	PinSourceIP     bool                `json:"pin_source_ip,omitzero"`
	ForceCommand    text                `json:"force_command,omitempty"`
	CertExtensions  []wireCertExtension `json:"cert_extensions,omitempty"`
}

type wireCertExtension struct {
	Type  text   `json:"type"`
	Mode  text   `json:"mode"`
	Name  text   `json:"name"`
	Value string `json:"value"`
}

type wireLock struct {
	Target  wireTarget `json:"target"`
	Message text       `json:"message,omitempty"`
	Expires text       `json:"expires,omitempty"`
}

type wireTarget struct {
	Bot   text `json:"bot,omitempty"`
	Token text `json:"token,omitempty"`
	Role  text `json:"role,omitempty"`
	All   bool `json:"all,omitzero"`
}

// text is a string that is absent or not empty. A rule whose branch_name is ""
// or null would otherwise read as one that does not ask for a branch at all.
type text string

// UnmarshalJSONFrom refuses null and the empty string.
func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '"' {
		return errors.New("not a string")
	}
	*t = text(tok.String())
	if *t == "" {
		return errors.New("an empty string; leave the field out")
	}
	return nil
}
