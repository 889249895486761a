package scaffold

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	bitbucketPrefix = "https://api.bitbucket.org/2.0/workspaces/"
	bitbucketSuffix = "/pipelines-config/identity/oidc"
	ariPrefix       = "ari:cloud:bitbucket::workspace/"
)

var (
	uuidInside = regexp.MustCompile(`(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	slug       = regexp.MustCompile(`\A[a-z0-9][a-z0-9_-]*\z`)
)

// tidy takes away what copying leaves around a value.
func tidy(s string) string {
	return strings.Trim(strings.TrimSpace(s), `"'`)
}

// readID reads a UUID: as it is, or out of an address or a resource name that has one.
func readID(field, s string) (string, error) {
	s = tidy(s)
	if !strings.Contains(s, "://") && !strings.HasPrefix(s, "ari:") {
		return rules.CheckField(field, s)
	}
	found := uuidInside.FindAllString(unescape(s), -1)
	if len(found) != 1 || !belongs(field, s) {
		return "", fmt.Errorf("%q does not have the id in it; it is found %s", s, rules.Where(field))
	}
	return rules.CheckField(field, found[0])
}

// belongs reports whether the UUID in an address is of what the field holds.
func belongs(field, s string) bool {
	switch field {
	case "workspace_uuid":
		return strings.HasPrefix(s, ariPrefix)
	case "organization_id":
		return strings.Contains(s, "/org/") || strings.Contains(s, "/organization/") && !strings.Contains(s, "/contexts/")
	case "context_id":
		return strings.Contains(s, "/contexts/")
	case "project_id":
		return strings.Contains(s, "/project/") || strings.Contains(s, "/projects/")
	case "pipeline_definition_id":
		return strings.Contains(s, "definition")
	}
	return strings.Contains(s, "bitbucket.org/")
}

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// readBitbucketIssuer reads the identity provider URL, or makes it of a workspace's
// name or of the address of one of its pages.
func readBitbucketIssuer(s string) (string, error) {
	s = bareIssuer(s)
	if page, ok := strings.CutPrefix(s, "https://bitbucket.org/"); ok {
		s, _, _ = strings.Cut(page, "/")
	}
	if slug.MatchString(s) {
		s = bitbucketPrefix + s + bitbucketSuffix
	}
	workspace, ok := strings.CutPrefix(s, bitbucketPrefix)
	if workspace, ok2 := strings.CutSuffix(workspace, bitbucketSuffix); !ok || !ok2 || workspace == "" || strings.Contains(workspace, "/") {
		return "", fmt.Errorf("%q is not an identity provider URL of Bitbucket; it looks like %sWORKSPACE%s", s, bitbucketPrefix, bitbucketSuffix)
	}
	return rules.CheckField("identity_provider_url", s)
}

// readIssuer reads an issuer of anybody's.
func readIssuer(s string) (string, error) { return rules.CheckField("issuer", bareIssuer(s)) }

// bareIssuer takes away the names of the files that an issuer publishes.
func bareIssuer(s string) string {
	s = strings.TrimRight(tidy(s), "/")
	for _, file := range []string{"/.well-known/openid-configuration", "/.well-known/jwks-pub.json", "/keys.json"} {
		s = strings.TrimSuffix(s, file)
	}
	return strings.TrimRight(s, "/")
}

// readAudience takes an audience of the service's own.
func readAudience(s string) (string, error) {
	s = tidy(s)
	const own = "every service that gets tokens of the same pipelines shares it; give the URL of your Gatepass service"
	switch {
	case strings.HasPrefix(s, ariPrefix):
		return "", fmt.Errorf("%q is the workspace's default audience, and %s, and have the job ask for it with oidc: {audiences: [URL]}", s, own)
	case uuidInside.FindString(s) == s && s != "":
		return "", fmt.Errorf("%q is the organization's default audience, and %s", s, own)
	case !strings.HasPrefix(s, "https://") && s != "":
		return "", fmt.Errorf("%q does not begin with https://; write the URL of your Gatepass service", s)
	}
	return rules.CheckField("audience", strings.TrimRight(s, "/"))
}

// readOrigin makes HOST/OWNER/NAME of a repository's addresses.
func readOrigin(s string) (string, error) {
	s = tidy(s)
	for _, scheme := range []string{"https://", "http://", "ssh://", "git://"} {
		s = strings.TrimPrefix(s, scheme)
	}
	if _, rest, ok := strings.Cut(s, "@"); ok {
		s = strings.Replace(rest, ":", "/", 1)
	}
	s = strings.TrimSuffix(strings.TrimRight(s, "/"), ".git")
	if parts := strings.Split(s, "/"); len(parts) < 3 || !strings.Contains(parts[0], ".") {
		return "", fmt.Errorf("%q is not HOST/OWNER/NAME; write it such as github.com/acme/shop", s)
	}
	return rules.CheckField("vcs_origin", s)
}

// readRef makes a ref of a branch.
func readRef(s string) (string, error) {
	if s = tidy(s); s != "" && !strings.HasPrefix(s, "refs/") {
		s = "refs/heads/" + s
	}
	return rules.CheckField("vcs_ref", s)
}

// readLogins reads a list with commas, and returns it so.
func readLogins(s string) (string, error) {
	var logins []string
	for login := range strings.SplitSeq(tidy(s), ",") {
		login, err := rules.CheckField("logins", strings.TrimSpace(login))
		if err != nil {
			return "", err
		}
		if login == "root" {
			return "", fmt.Errorf("root may do anything on a host; write a login of its own, with sudo for what it needs")
		}
		logins = append(logins, login)
	}
	return strings.Join(logins, ","), nil
}

// readEnd reads a day or a time to come.
func readEnd(s string, now time.Time) (string, error) {
	s = tidy(s)
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		if day, err = time.Parse(time.RFC3339, s); err != nil {
			return "", fmt.Errorf("%q is not a day; write it such as %s", s, now.AddDate(1, 0, 0).Format(time.DateOnly))
		}
	}
	if !day.After(now) {
		return "", fmt.Errorf("%q has passed; write a day to come", s)
	}
	return rules.CheckField("expires", day.UTC().Format(time.RFC3339))
}
