package rules

import (
	"fmt"
	"maps"
	"slices"
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

func (c *checker) role(spec *path, r *Role) {
	allow, deny, options := spec.field("allow"), spec.field("deny"), spec.field("options")
	c.conditions(&allow, &r.Allow, true)
	c.conditions(&deny, &r.Deny, false)
	c.options(&options, &r.Options)
}

// conditions checks what a role allows, which may have templates and labels, or denies.
func (c *checker) conditions(at *path, w *Conditions, allow bool) {
	for _, field := range grantFields() {
		c.grants(at, field, w.list(field), allow)
		if field == fieldLogins {
			c.nodeLabels(at, w.NodeLabels, allow)
		}
	}
}

func (c *checker) grants(up *path, field string, list *[]string, templates bool) {
	if len(*list) == 0 {
		*list = nil
		return
	}
	at := up.field(field)
	for i := range c.count(&at, len(*list), maxValues, "values") {
		s := &(*list)[i]
		element := at.element(i)
		switch _, ok := trait(*s); {
		case ok && templates:
			*s = canonicalTemplate(*s)
		case strings.Contains(*s, "{{") || strings.Contains(*s, "}}"):
			c.fault(&element, templateProblem(*s, templates))
		default:
			c.fault(&element, checkGrant(field, *s))
		}
	}
	c.unique(&at, *list)
}

func templateProblem(s string, templates bool) string {
	if !templates {
		return fmt.Sprintf("%q is a template; deny takes literal values only", s)
	}
	return fmt.Sprintf("%q is not a template that is understood; a whole value may be {{internal.TRAIT}} or {{external.TRAIT}}", s)
}

func (c *checker) options(at *path, o *Options) {
	ttl, command, extensions := at.field("max_session_ttl"), at.field("force_command"), at.field("cert_extensions")
	c.read(&ttl)
	if o.ForceCommand != "" {
		c.fault(&command, checkPrintable(o.ForceCommand, maxCommand))
	}
	names := make([]string, 0, len(o.CertExtensions))
	for i := range c.count(&extensions, len(o.CertExtensions), maxExtensions, "extensions") {
		element := extensions.element(i)
		c.extension(&element, o.CertExtensions[i])
		names = append(names, o.CertExtensions[i].Name)
	}
	c.unique(&extensions, names)
	if len(o.CertExtensions) == 0 {
		o.CertExtensions = nil
	}
}

func (c *checker) extension(at *path, e CertExtension) {
	kind, mode, name, value := at.field("type"), at.field("mode"), at.field("name"), at.field("value")
	if e.Type != "ssh" {
		c.fault(&kind, fmt.Sprintf("%q is not supported; write ssh", e.Type))
	}
	if e.Mode != "extension" {
		c.fault(&mode, fmt.Sprintf("%q is not supported; write extension", e.Mode))
	}
	c.fault(&name, checkExtensionName(e.Name))
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

// nodeLabels checks what a role asks of hosts.
func (c *checker) nodeLabels(up *path, w NodeLabels, allow bool) {
	at := up.field(fieldNodeLabels)
	switch {
	case w == nil:
		return
	case !allow:
		c.fault(&at, nodeLabelsDenied)
		return
	case len(w) == 0:
		c.fault(&at, "names no label, which is no host at all; write labels, or remove it for every host")
		return
	case w["*"] != nil:
		c.fault(&at, "has '*' and is not '*': '*' alone; write that for every host, or the names of labels")
		return
	}
	c.count(&at, len(w), MaxHostLabels, "labels")
	product, size := 1, 0
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if problem := checkLabel(name); problem != "" {
			c.fault(&at, "the name of a label "+problem)
		}
		c.labelValues(&at, name, w[name])
		product = min(product*min(len(w[name]), maxCombinations), maxCombinations+1)
		size += len(name) + len(",=") + longest(w[name])
	}
	switch {
	case product > maxCombinations:
		c.fault(&at, fmt.Sprintf("stands for more than %d combinations of values, each a principal of the certificate; write fewer, or several roles", maxCombinations))
	case size > maxConjunction:
		c.fault(&at, fmt.Sprintf("has %d characters in one combination of values; at most %d are allowed", size, maxConjunction))
	}
}

func (c *checker) labelValues(up *path, name string, values []string) {
	at := up.field(name)
	if len(values) == 0 {
		c.fault(&at, "has no values, which is no host at all; write one, or remove the label")
	}
	for i := range c.count(&at, len(values), maxCombinations, "values") {
		element := at.element(i)
		if len(values) == 1 {
			element = at // one value is written without a list
		}
		c.fault(&element, checkLabel(values[i]))
	}
	c.unique(&at, values)
}

func longest(list []string) (n int) {
	for _, s := range list {
		n = max(n, len(s))
	}
	return n
}
