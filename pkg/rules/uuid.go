package rules

import (
	"fmt"
	"strings"
)

// uuidField is a field that holds a UUID of one CI system.
type uuidField struct {
	what   string // it is the UUID of
	where  string // a person finds it
	braces bool   // it is kept in braces, as the CI's claims have it
}

// The fields, and where their values are found. Nothing assigns to them.
var (
	workspaceUUID   = uuidField{"the workspace", "in Bitbucket under Repository settings > OpenID Connect", true}
	repositoryUUID  = uuidField{"the repository", "in Bitbucket under Repository settings > OpenID Connect", true}
	environmentUUID = uuidField{"the deployment environment", "in Bitbucket under Repository settings > OpenID Connect", true}
	organizationID  = uuidField{"the organization", "in CircleCI under Organization Settings > Overview", false}
	contextID       = uuidField{"the context", "in CircleCI under Organization Settings > Contexts, on the context's own page", false}
	projectID       = uuidField{"the project", "in CircleCI under Project Settings > Overview", false}
	definitionID    = uuidField{"the pipeline definition", "in CircleCI under Project Settings > Project Setup", false}
)

// uuid reads a UUID, with or without braces and in any case, and returns it as
// it is kept; "" if it is absent or wrong.
func (c *checker) uuid(p *path, f *uuidField, s text) string {
	if s == "" {
		return ""
	}
	bare := trimBraces(string(s))
	if !isUUID(bare) {
		c.fault(p, f.problem(string(s)))
		return ""
	}
	bare = strings.ToLower(bare)
	if f.braces {
		return "{" + bare + "}"
	}
	return bare
}

// problem says what to write in place of s. A name in place of an id is the
// commonest mistake in rules.
func (f *uuidField) problem(s string) string {
	kind := "looks like a name"
	switch {
	case strings.Trim(s, "0123456789") == "":
		kind = "is a number"
	case strings.Contains(s, "/"):
		kind = "looks like a slug or a URL"
	case strings.Trim(strings.ToLower(s), "0123456789abcdef-{}") == "":
		kind = "is not a whole UUID"
	}
	example := "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"
	if f.braces {
		example = `"{` + example + `}"`
	}
	return fmt.Sprintf("%q %s; write the UUID of %s, such as %s, which is found %s", s, kind, f.what, example, f.where)
}

// isUUID reports whether s has the form of RFC 9562 §4, without braces.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if b != '-' {
				return false
			}
		} else if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F') {
			return false
		}
	}
	return true
}

// trimBraces takes away one pair of braces around s.
func trimBraces(s string) string {
	if len(s) >= 2 && s[0] == '{' && s[len(s)-1] == '}' {
		return s[1 : len(s)-1]
	}
	return s
}
