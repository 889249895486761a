package scaffold

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
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
	s = strings.TrimRight(s, "/")
	if u, err := url.Parse(s); s != "" && (err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, " \"'`$\\")) {
		return "", fmt.Errorf("%q is not the URL of a service; write it such as https://join.example.com", s)
	}
	return rules.CheckField("audience", s)
}

// readOrigin makes HOST/OWNER/NAME of a repository's addresses.
func readOrigin(s string) (string, error) {
	given := tidy(s)
	s = given
	scheme, rest, isURL := strings.Cut(s, "://")
	if isURL {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"https", "http", "ssh", "git"}, scheme) {
			return "", fmt.Errorf("%q is not the address of a repository; write it such as github.com/acme/shop", given)
		}
		_, page, _ := strings.Cut(rest, "/")
		page, _, _ = strings.Cut(page, "#")
		if scheme != "ssh" && scheme != "git" { // ? may be part of a pattern elsewhere
			page, _, _ = strings.Cut(page, "?")
		}
		s = u.Hostname() + "/" + repositoryOf(u.Hostname(), page)
	} else if _, rest, ok := strings.Cut(s, "@"); ok {
		s = strings.Replace(rest, ":", "/", 1)
	}
	s = strings.TrimSuffix(strings.TrimRight(s, "/"), ".git")
	if parts := strings.Split(s, "/"); len(parts) < 3 || !strings.Contains(parts[0], ".") || slices.Contains(parts, "") {
		return "", fmt.Errorf("%q is not HOST/OWNER/NAME; write it such as github.com/acme/shop", s)
	}
	if err := asGitHasIt(s); err != nil {
		return "", err
	}
	return rules.CheckField("vcs_origin", s)
}

// repositoryOf takes the repository out of the path of one of its pages.
func repositoryOf(host, page string) string {
	if parts := strings.Split(page, "/"); (host == "github.com" || host == "bitbucket.org") && len(parts) > 2 {
		return strings.Join(parts[:2], "/")
	}
	page, _, _ = strings.Cut(page, "/-/") // GitLab, whose groups may be in groups
	return page
}

// readBranch reads the name of a branch.
func readBranch(s string) (string, error) {
	if err := asGitHasIt(s); err != nil {
		return "", err
	}
	return rules.CheckField("branch_name", s)
}

// readRef makes a ref of a branch.
func readRef(s string) (string, error) {
	if s = tidy(s); s != "" && !strings.HasPrefix(s, "refs/") {
		s = "refs/heads/" + s
	}
	if err := asGitHasIt(s); err != nil {
		return "", err
	}
	return rules.CheckField("vcs_ref", s)
}

// asGitHasIt refuses what no branch and no repository is called (git-check-ref-format(1)),
// and what no rule could therefore match. * and ? may make it a pattern.
func asGitHasIt(s string) error {
	if i := strings.IndexAny(s, " ~^:[\\"); i >= 0 {
		return fmt.Errorf("%q has a %q, which no branch or repository has in its name; write it as git shows it", s, s[i])
	}
	return nil
}

// readLogins reads a list with commas, and returns it so.
func readLogins(s string) (string, error) {
	var logins []string
	for login := range strings.SplitSeq(tidy(s), ",") {
		if login = strings.TrimSpace(login); login == "" {
			return "", errors.New("a login is missing; write one or several with commas between")
		}
		login, err := rules.CheckField("logins", login)
		if err != nil {
			return "", err
		}
		if login == "root" {
			return "", fmt.Errorf("root may do anything on a host; write a login of its own, with sudo for what it needs")
		}
		if !slices.Contains(logins, login) {
			logins = append(logins, login)
		}
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
