package rules

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file is what is understood of Teleport's resources beyond our own. The
// line is: a setting may be passed over, with a warning, only if a bot cannot
// do more without it. One that narrows access and cannot be held to is refused.

// teleport reads what Teleport's resources have beside the fields of one of our structs.
func (o *object) teleport(ours any) {
	switch ours := ours.(type) {
	case *Metadata:
		o.skip("namespace", "revision", "id")
	case *TokenRule:
		o.suggestions()
	case *Conditions:
		o.teleportConditions(o.at.name == "allow")
	case *Options:
		o.portForwarding(&ours.PortForwarding)
		o.either(&ours.AgentForwarding, "agent_forwarding", "forward_agent")
		o.either(&ours.X11Forwarding, "x11_forwarding", "permit_x11_forwarding")
		o.teleportOptions()
	case *Target:
		if token := o.text("join_token"); token != "" { // Teleport's name of it
			if ours.Token != "" {
				o.r.fail(o.node, o.at, "has token and join_token, which mean the same; remove one")
			}
			ours.Token = token
		}
	}
}

// skip passes over fields that Teleport writes for its own bookkeeping.
func (o *object) skip(names ...string) {
	for _, name := range names {
		o.pass(name, "is Teleport's own and is not used here")
	}
}

// pass takes a field, whatever its value, and warns that it does nothing.
func (o *object) pass(name, why string) {
	if n, ok := o.fields[name]; ok {
		at := o.at.field(name)
		o.r.warn(n, &at, "%s", why)
		o.known = append(o.known, name)
	}
}

// refuse reports a field, if it is there, as one that cannot be held to.
func (o *object) refuse(name, why string) {
	if n, ok := o.fields[name]; ok {
		at := o.at.field(name)
		o.r.fail(n, &at, "%s", why)
		o.known = append(o.known, name)
	}
}

func (o *object) emptySubKind() {
	const name = "sub_kind"
	if n, ok := o.fields[name]; ok && n.Kind == yaml.ScalarNode && n.Value == "" {
		o.skip(name)
	} else {
		o.refuse(name, "must be empty; kinds have no sub-kinds here")
	}
}

// either reads Teleport's name of a flag of ours.
func (o *object) either(flag *bool, ours, teleports string) {
	theirs := o.flag(teleports)
	if o.fields[ours] != nil && o.fields[teleports] != nil {
		at := o.at.field(teleports)
		o.r.fail(o.fields[teleports], &at, "means the same as %s; remove it", ours)
	}
	*flag = *flag || theirs
}

// portForwarding reads Teleport's ssh_port_forwarding beside port_forwarding.
// OpenSSH has one permission for both directions, so it is given only if
// everything that is written allows it.
func (o *object) portForwarding(flag *bool) {
	const ours, teleports = "port_forwarding", "ssh_port_forwarding"
	var local, remote bool
	if !o.object(teleports, func(f *object) {
		f.object("local", func(d *object) { local = d.flag("enabled") })
		f.object("remote", func(d *object) { remote = d.flag("enabled") })
	}) {
		return
	}
	node, at := o.fields[teleports], o.at.field(teleports)
	if local != remote {
		o.r.warn(node, &at, "allows one direction only, which a certificate cannot say: port forwarding stays off")
	}
	allowed := local && remote
	if o.fields[ours] == nil {
		*flag = allowed
		return
	}
	if *flag != allowed {
		o.r.warn(node, &at, "and %s disagree: port forwarding stays off", ours)
	}
	*flag = *flag && allowed
}

// suggestions are fields of Teleport's tokens about the servers that join by
// them. A bot is none.
func suggestions() []string { return []string{"suggested_labels", "suggested_agent_matcher_labels"} }

func (o *object) suggestions() {
	for _, name := range suggestions() {
		o.pass(name, "is about servers that join, and does nothing for a bot")
	}
}

// Labels choose what a Teleport role reaches. Of SSH hosts they become part of the
// principals (labels.go); of others a certificate cannot say it: where it is accepted
// is up to the servers that trust its authority.
func labelFields() []string {
	return []string{"kubernetes_labels", "db_labels", "app_labels", "cluster_labels", "db_service_labels"}
}

// narrowing are further conditions of Teleport's that make access smaller.
func narrowing() []string {
	return []string{
		"node_labels_expression", "kubernetes_labels_expression", "db_labels_expression", "app_labels_expression",
		"cluster_labels_expression", "db_service_labels_expression",
		"kubernetes_resources", "require_session_join", "where",
	}
}

// elsewhere are grants of Teleport's for what no credential of Gatepass is good
// for. To allow or deny them changes nothing.
func elsewhere() []string {
	return []string{
		"db_roles", "windows_desktop_logins", "windows_desktop_labels", "windows_desktop_labels_expression",
		"desktop_groups", "host_groups", "host_sudoers", "aws_role_arns", "azure_identities",
		"gcp_service_accounts", "impersonate", "request", "review_requests", "join_sessions", "spiffe",
		"account_assignments", "github_permissions", "group_labels", "group_labels_expression",
		"workload_identity_labels", "workload_identity_labels_expression",
	}
}

// nodeLabels reads node_labels: for each label one value or a list of them. Exactly
// '*': '*' means any host, as if there were none.
func (o *object) nodeLabels() (labels NodeLabels) {
	if o.at.name == "deny" {
		return nil // teleportConditions refuses it
	}
	if n := o.fields[fieldNodeLabels]; n != nil && everywhere(n) {
		o.known = append(o.known, fieldNodeLabels)
		return nil
	}
	o.object(fieldNodeLabels, func(l *object) {
		labels = NodeLabels{}
		for name, n := range l.fields {
			if n.Kind == yaml.SequenceNode {
				labels[name] = l.texts(name)
			} else {
				labels[name] = []string{l.text(name)}
			}
		}
	})
	return labels
}

const nodeLabelsDenied = "denies access to some hosts, which a certificate cannot do; name in allow the labels of those that are reached, and remove it"

func (o *object) teleportConditions(allow bool) {
	if !allow {
		o.refuse(fieldNodeLabels, nodeLabelsDenied)
	}
	for _, name := range labelFields() {
		switch n, ok := o.fields[name]; {
		case !ok:
		case allow && everywhere(n):
			o.known = append(o.known, name)
		case allow:
			o.refuse(name, "limits access to some servers, which a certificate cannot do; let only those servers trust the authority, and remove it or write '*': '*'")
		default:
			o.refuse(name, "denies access to some servers, which a certificate cannot do; let those servers not trust the authority, and remove it")
		}
	}
	for _, name := range narrowing() {
		o.refuse(name, "narrows access in a way that a certificate cannot; remove it if access may be as wide as the rest of the role says")
	}
	for _, name := range elsewhere() {
		o.pass(name, "is about what Gatepass has no credentials for, and does nothing here")
	}
	o.apiRules()
}

// everywhere reports whether labels are exactly '*': '*', which limits nothing.
func everywhere(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Value != "*" {
		return false
	}
	value := n.Content[1]
	if value.Kind == yaml.SequenceNode && len(value.Content) == 1 {
		value = value.Content[0]
	}
	return value.Kind == yaml.ScalarNode && value.Value == "*"
}

// apiRules passes over the permissions on Teleport's own API, but for those
// with a condition, whose author relies on something.
func (o *object) apiRules() {
	const name = "rules"
	n, ok := o.fields[name]
	if !ok {
		return
	}
	at := o.at.field(name)
	for i, rule := range n.Content {
		for j := 0; rule.Kind == yaml.MappingNode && j+1 < len(rule.Content); j += 2 {
			if key := rule.Content[j]; key.Value == "where" {
				element := at.element(i)
				where := element.field("where")
				o.r.fail(key, &where, "is a condition that cannot be held to here; remove the rule, which grants nothing here anyway")
			}
		}
	}
	o.pass(name, "is about Teleport's API and grants nothing here")
}

// teleportOption is an option that is passed over if its value narrows nothing.
type teleportOption struct {
	name     string
	harmless []string // nil: any value is
}

// teleportOptions are the options of Teleport's roles. Those for what Gatepass
// has no credentials for are harmless with any value, as are those that grant;
// recording and prompts limit nobody. Any other name is an unknown field.
func teleportOptions() []teleportOption {
	no := []string{"false"}
	never := []string{"", "0", "0s", "never", "null", "~"}
	return []teleportOption{
		{"cert_format", nil},
		{"create_db_user", nil},
		{"create_db_user_mode", nil},
		{"create_desktop_user", nil},
		{"create_host_user", nil},
		{"create_host_user_default_shell", nil},
		{"create_host_user_mode", nil},
		{"desktop_clipboard", nil},
		{"desktop_directory_sharing", nil},
		{"enhanced_recording", nil},
		{"idp", nil},
		{"lock", nil}, // strict here always: a lock that cannot be read refuses
		{"request_prompt", nil},

		{"client_idle_timeout", never},
		{"device_trust_mode", []string{"", "off", "optional"}},
		{"disconnect_expired_cert", no},
		{"max_connections", never},
		{"max_kubernetes_connections", never},
		{"max_sessions", never},
		{"mfa_verification_interval", never},
		{"request_access", []string{"", "optional"}},
		{"require_session_mfa", []string{"", "false", "off", "no", "0"}},
		{"ssh_file_copy", []string{"true"}},
	}
}

func (o *object) teleportOptions() {
	for _, option := range teleportOptions() {
		n, ok := o.fields[option.name]
		if !ok {
			continue
		}
		if option.harmless == nil || n.Kind == yaml.ScalarNode && slices.Contains(option.harmless, strings.ToLower(n.Value)) {
			o.pass(option.name, "is Teleport's and does nothing here")
			continue
		}
		why := "narrows access in a way that a certificate cannot; remove it"
		if allowed := option.harmless[len(option.harmless)-1]; allowed != "" {
			why = fmt.Sprintf("%s, or write the value that narrows nothing", why)
		}
		o.refuse(option.name, why)
	}
	o.recordSession()
}

// recordSession refuses strict recording, which ends a session that cannot be
// recorded; recording as best as can be limits nobody.
func (o *object) recordSession() {
	const name = "record_session"
	n, ok := o.fields[name]
	if !ok {
		return
	}
	strict := n.Kind != yaml.MappingNode
	for i := 1; i < len(n.Content); i += 2 {
		strict = strict || strings.EqualFold(n.Content[i].Value, "strict")
	}
	if strict {
		o.refuse(name, "strict recording refuses sessions that are not recorded, which a certificate cannot do; remove it")
		return
	}
	o.pass(name, "is Teleport's and does nothing here: sessions are not recorded")
}
