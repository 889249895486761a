package tbot

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// Option is a field of an output as the command line has it.
type Option struct {
	Flag, Value string
	Line        int // in the file
}

// entry is one output of the file. The fields of all types are here, so that
// an unknown one is found by the decoder; which type has which is in fields.
type entry struct {
	Type        string   `yaml:"type"`
	Name        string   `yaml:"name"`
	Destination dest     `yaml:"destination"`
	Roles       []string `yaml:"roles"`
	TTL         duration `yaml:"credential_ttl"`
	Renewal     duration `yaml:"renewal_interval"`

	SSHHosts   yaml.Node `yaml:"ssh_hosts"`
	KnownHosts yaml.Node `yaml:"known_hosts"`
	Cluster    yaml.Node `yaml:"cluster"`
	SSHConfig  yaml.Node `yaml:"ssh_config"`
	Reissue    yaml.Node `yaml:"allow_reissue"`

	Service  yaml.Node `yaml:"service"`
	Username yaml.Node `yaml:"username"`
	Database yaml.Node `yaml:"database"`
	Format   yaml.Node `yaml:"format"`
	ServerCA yaml.Node `yaml:"server_ca"`

	AppName yaml.Node `yaml:"app_name"`
	TLSName yaml.Node `yaml:"specific_tls_naming"`

	KubeCluster   yaml.Node `yaml:"kubernetes_cluster"`
	KubeServer    yaml.Node `yaml:"kubernetes_server"`
	KubeCA        yaml.Node `yaml:"kubernetes_ca"`
	KubeUser      yaml.Node `yaml:"kubernetes_user"`
	Namespace     yaml.Node `yaml:"namespace"`
	Auth          yaml.Node `yaml:"auth"`
	JWTAudience   yaml.Node `yaml:"jwt_audience"`
	DisablePlugin yaml.Node `yaml:"disable_exec_plugin"`

	Audience yaml.Node `yaml:"audience"`
}

// field is one field of a type of output.
type field struct {
	name string
	flag string // of the command line that means the same; empty if the field is ignored
	why  string // it is ignored
	of   func(*entry) *yaml.Node
}

// types are the outputs and their fields. Those that tbot does not know are named as the flags are.
func types() map[string][]field {
	serverCA := field{"server_ca", "server-ca", "", func(e *entry) *yaml.Node { return &e.ServerCA }}
	return map[string][]field{
		"identity": {
			{"ssh_hosts", "ssh-hosts", "", func(e *entry) *yaml.Node { return &e.SSHHosts }},
			{"known_hosts", "known-hosts", "", func(e *entry) *yaml.Node { return &e.KnownHosts }},
			{"cluster", "", "there are no clusters", func(e *entry) *yaml.Node { return &e.Cluster }},
			{"ssh_config", "", "it is always written", func(e *entry) *yaml.Node { return &e.SSHConfig }},
			{"allow_reissue", "", "credentials are never reissued from one another", func(e *entry) *yaml.Node { return &e.Reissue }},
		},
		"database": {
			serverCA,
			{"service", "", "programs connect to the database themselves", func(e *entry) *yaml.Node { return &e.Service }},
			{"username", "username", "", func(e *entry) *yaml.Node { return &e.Username }},
			{"database", "database", "", func(e *entry) *yaml.Node { return &e.Database }},
			{"format", "format", "", func(e *entry) *yaml.Node { return &e.Format }},
		},
		"application": {
			serverCA,
			{"app_name", "app", "", func(e *entry) *yaml.Node { return &e.AppName }},
			{"specific_tls_naming", "", "the files are always tls.crt, tls.key and tls.cas", func(e *entry) *yaml.Node { return &e.TLSName }},
		},
		"kubernetes": {
			{"kubernetes_cluster", "kubernetes-cluster", "", func(e *entry) *yaml.Node { return &e.KubeCluster }},
			{"kubernetes_server", "kubernetes-server", "", func(e *entry) *yaml.Node { return &e.KubeServer }},
			{"kubernetes_ca", "kubernetes-ca", "", func(e *entry) *yaml.Node { return &e.KubeCA }},
			{"kubernetes_user", "kubernetes-user", "", func(e *entry) *yaml.Node { return &e.KubeUser }},
			{"namespace", "namespace", "", func(e *entry) *yaml.Node { return &e.Namespace }},
			{"auth", "auth", "", func(e *entry) *yaml.Node { return &e.Auth }},
			{"jwt_audience", "jwt-audience", "", func(e *entry) *yaml.Node { return &e.JWTAudience }},
			{fieldDisablePlugin, flagPlugin, "", func(e *entry) *yaml.Node { return &e.DisablePlugin }},
		},
		"jwt": {{"audience", "jwt-audience", "", func(e *entry) *yaml.Node { return &e.Audience }}},
	}
}

// The one field that says the opposite of its flag.
const (
	fieldDisablePlugin = "disable_exec_plugin"
	flagPlugin         = "exec-plugin"
)

// options reads the fields of an output's own, and refuses those of other types.
func (r *reader) options(e *entry) []Option {
	all := types()
	var known []string
	var options []Option
	for _, f := range all[e.Type] {
		known = append(known, f.name)
		node := f.of(e)
		switch {
		case node.IsZero():
		case f.flag == "":
			r.ignore(*node, f.name, f.why)
		default:
			options = append(options, r.option(f, node)...)
		}
	}
	for _, fields := range all {
		for _, f := range fields {
			if node := f.of(e); !node.IsZero() && !slices.Contains(known, f.name) {
				r.refuse(*node, f.name+" of an output of type "+failure.Clean(e.Type), "leave it out")
			}
		}
	}
	return options
}

// option is a field as one or more flags.
func (r *reader) option(f field, node *yaml.Node) []Option {
	value := node
	if node.Kind == yaml.AliasNode {
		value = node.Alias
	}
	if value.Kind == yaml.SequenceNode && f.flag == "ssh-hosts" {
		var options []Option
		for _, item := range value.Content {
			options = append(options, r.option(f, item)...)
		}
		return options
	}
	if value.Kind != yaml.ScalarNode {
		r.fail(fmt.Sprintf("line %d: %s must be one word", node.Line, f.name), "write it like "+f.name+": VALUE")
		return nil
	}
	if value.Value == "" || value.Tag == "!!null" {
		return nil // as if it were not there
	}
	text := value.Value
	if f.name == fieldDisablePlugin {
		var disabled bool
		if err := value.Decode(&disabled); err != nil {
			r.fail(fmt.Sprintf("line %d: %s must be true or false", node.Line, f.name), "write true or false")
		}
		text = fmt.Sprint(!disabled)
	}
	return []Option{{Flag: f.flag, Value: text, Line: node.Line}}
}
