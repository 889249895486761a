package rules

import (
	"fmt"
	"strings"
)

// The lists of grants.
const (
	fieldLogins           = "logins"
	fieldNodeLabels       = "node_labels"
	fieldDBUsers          = "db_users"
	fieldDBNames          = "db_names"
	fieldKubernetesUsers  = "kubernetes_users"
	fieldKubernetesGroups = "kubernetes_groups"
	fieldAppNames         = "app_names"
	fieldJWTAudiences     = "jwt_audiences"
)

// checkGrant says what is wrong with a value of a list of grants, be it
// written in a role or put there by a template.
func checkGrant(field, s string) string {
	if strings.Contains(s, "*") {
		return fmt.Sprintf("%q has a *; name each value that is granted", s)
	}
	switch field {
	case fieldLogins:
		return checkLogin(s)
	case fieldJWTAudiences:
		return checkPrintable(s, maxValue)
	}
	return checkPrintable(s, maxGrant)
}

// checkLogin says what is wrong with an SSH login. The characters allowed can
// do no harm in sshd_config, a principals file or a shell.
func checkLogin(s string) string {
	if s == "" {
		return "is empty; write a login or leave it out"
	}
	if len(s) > maxLogin {
		return fmt.Sprintf("has %d characters; a login has at most %d", len(s), maxLogin)
	}
	for i := range len(s) {
		b := s[i]
		if !isAlpha(b) && b != '_' && (i == 0 || !isLowerAlnum(b) && b != '.' && b != '@' && b != '-') {
			return fmt.Sprintf("%q is not a login; write a letter or underscore, then letters, digits and any of _ . @ -", s)
		}
	}
	return ""
}

// trait returns the name in a template {{internal.NAME}} or {{external.NAME}},
// which mean the same: the values of the bot's trait.
func trait(s string) (name string, ok bool) {
	s, ok = strings.CutPrefix(s, "{{")
	if !ok {
		return "", false
	}
	if s, ok = strings.CutSuffix(s, "}}"); !ok {
		return "", false
	}
	s = strings.TrimSpace(s)
	for _, source := range []string{"internal.", "external."} {
		if name, ok := strings.CutPrefix(s, source); ok && isTraitName(name) {
			return name, true
		}
	}
	return "", false
}

// canonicalTemplate returns a template without the spaces inside its braces.
func canonicalTemplate(s string) string {
	return "{{" + strings.TrimSpace(s[2:len(s)-2]) + "}}"
}

func (c *checker) role(spec *path, w *wireRole, m Metadata, version string) *Role {
	allow, deny, options := spec.field("allow"), spec.field("deny"), spec.field("options")
	return &Role{
		Metadata: m,
		Version:  version,
		Allow:    c.conditions(&allow, &w.Allow, true),
		Deny:     c.conditions(&deny, &w.Deny, false),
		Options:  c.options(&options, &w.Options),
	}
}

// conditions checks what a role allows, which may have templates and labels, or denies.
func (c *checker) conditions(at *path, w *wireConditions, allow bool) Conditions {
	return Conditions{
		Logins:           c.grants(at, fieldLogins, w.Logins, allow),
		NodeLabels:       c.nodeLabels(at, w.NodeLabels, allow),
		DBUsers:          c.grants(at, fieldDBUsers, w.DBUsers, allow),
		DBNames:          c.grants(at, fieldDBNames, w.DBNames, allow),
		KubernetesUsers:  c.grants(at, fieldKubernetesUsers, w.KubernetesUsers, allow),
		KubernetesGroups: c.grants(at, fieldKubernetesGroups, w.KubernetesGroups, allow),
		AppNames:         c.grants(at, fieldAppNames, w.AppNames, allow),
		JWTAudiences:     c.grants(at, fieldJWTAudiences, w.JWTAudiences, allow),
	}
}

func (c *checker) grants(up *path, field string, list []text, templates bool) []string {
	if len(list) == 0 {
		return nil
	}
	at := up.field(field)
	var out []string
	for i := range c.count(&at, len(list), maxValues, "values") {
		s := string(list[i])
		element := at.element(i)
		switch _, ok := trait(s); {
		case ok && templates:
			s = canonicalTemplate(s)
		case strings.Contains(s, "{{") || strings.Contains(s, "}}"):
			c.fault(&element, templateProblem(s, templates))
		default:
			c.fault(&element, checkGrant(field, s))
		}
		out = append(out, s)
	}
	c.unique(&at, out)
	return out
}

func templateProblem(s string, templates bool) string {
	if !templates {
		return fmt.Sprintf("%q is a template; deny takes literal values only", s)
	}
	return fmt.Sprintf("%q is not a template that is understood; a whole value may be {{internal.TRAIT}} or {{external.TRAIT}}", s)
}

func (c *checker) options(at *path, w *wireOptions) Options {
	ttl, command := at.field("max_session_ttl"), at.field("force_command")
	o := Options{
		MaxSessionTTL:   c.duration(&ttl, w.MaxSessionTTL),
		PermitPTY:       w.PermitPTY,
		PortForwarding:  w.PortForwarding,
		AgentForwarding: w.AgentForwarding,
		X11Forwarding:   w.X11Forwarding,
		PinSourceIP:     w.PinSourceIP,
		ForceCommand:    string(w.ForceCommand),
	}
	if o.ForceCommand != "" {
		c.fault(&command, checkPrintable(o.ForceCommand, maxCommand))
	}
	extensions := at.field("cert_extensions")
	names := make([]string, 0, len(w.CertExtensions))
	for i := range c.count(&extensions, len(w.CertExtensions), maxExtensions, "extensions") {
		e := w.CertExtensions[i]
		element := extensions.element(i)
		c.extension(&element, e)
		o.CertExtensions = append(o.CertExtensions, CertExtension{
			Type: string(e.Type), Mode: string(e.Mode), Name: string(e.Name), Value: e.Value,
		})
		names = append(names, string(e.Name))
	}
	c.unique(&extensions, names)
	return o
}

func (c *checker) extension(at *path, e wireCertExtension) {
	kind, mode, name, value := at.field("type"), at.field("mode"), at.field("name"), at.field("value")
	if e.Type != "ssh" {
		c.fault(&kind, fmt.Sprintf("%q is not supported; write ssh", e.Type))
	}
	if e.Mode != "extension" {
		c.fault(&mode, fmt.Sprintf("%q is not supported; write extension", e.Mode))
	}
	c.fault(&name, checkExtensionName(string(e.Name)))
	if e.Value != "" {
		c.fault(&value, checkPrintable(e.Value, maxField))
	}
}

// checkExtensionName lets only names with an @ through (RFC 4250 §4.6.1): those
// without are OpenSSH's own, which the role's other options decide.
func checkExtensionName(s string) string {
	before, after, found := strings.Cut(s, "@")
	if !found || before == "" || after == "" {
		return fmt.Sprintf("%q is not NAME@DOMAIN; permit-pty and the like have options of their own, such as permit_pty", s)
	}
	if len(s) > maxName {
		return fmt.Sprintf("has %d characters; at most %d are allowed", len(s), maxName)
	}
	for i := range len(s) {
		if b := s[i]; b <= ' ' || b > '~' || strings.IndexByte(`,="`, b) >= 0 {
			return fmt.Sprintf("%q has a character other than printable ASCII without space, comma, quote and =", s)
		}
	}
	return ""
}
