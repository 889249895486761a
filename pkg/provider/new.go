package provider

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// New is what gatepassctl new asks, and how it writes the answers down.
type New struct {
	// Head tells, as a comment, how a job asks for its audience. {audience} and {bot}
	// stand for the answers.
	Head string
	// Audience is a comment above the audience.
	Audience string
	// First is the answer that a rule begins with; "" for the first that is given.
	First string
	// Questions are those of the CI, in the order in which they are asked.
	Questions []Question
	// OneOf are pairs of answers of which one at least is required: a rule without would
	// let in more than is likely meant.
	OneOf [][2]string
	// Hosted begins the issuers of the CI itself, and AnyIssuer says that others may
	// run it too.
	Hosted    string
	AnyIssuer bool
}

// Question is one thing that the rules of a CI need to know.
type Question struct {
	Name     string // of the answer, and of the flag that gives it
	For      string // the setting or the field that the answer is of
	Text     string // what is asked, in a few words
	Where    string // where a person finds it; that of the value if it is ""
	Comment  string // stands above the answer in the file; may have several lines
	Required bool
	Unasked  bool // few need it: it is not asked for, and can be given by its flag
	// Tidy makes what a person pastes into the value, which is checked after. Of a UUID it
	// is Belongs that counts. It may be nil.
	Tidy func(pasted string) (string, error)
	// Belongs reports whether the one UUID in an address is of this answer.
	Belongs func(address string) bool
	// Claims are those that answer a question about a setting, the first that is there.
	Claims []string
}

// Bare takes away what copying leaves around a value.
func Bare(pasted string) string { return strings.Trim(strings.TrimSpace(pasted), `"'`) }

// BareIssuer takes away the names of the files that an issuer publishes, too.
func BareIssuer(pasted string) string {
	s := strings.TrimRight(Bare(pasted), "/")
	for _, file := range []string{"/.well-known/openid-configuration", "/.well-known/jwks-pub.json", "/keys.json"} {
		s = strings.TrimSuffix(s, file)
	}
	return strings.TrimRight(s, "/")
}

func tidyIssuer(pasted string) (string, error) { return BareIssuer(pasted), nil }

// tidyBranch reads the name of a branch.
func tidyBranch(pasted string) (string, error) { return pasted, asGitHasIt(pasted) }

// tidyRef makes a ref of a branch.
func tidyRef(pasted string) (string, error) {
	s := Bare(pasted)
	if s != "" && !strings.HasPrefix(s, "refs/") {
		s = "refs/heads/" + s
	}
	return s, asGitHasIt(s)
}

// asGitHasIt refuses what no branch and no repository is called (git-check-ref-format(1)),
// and what no rule could therefore match. * and ? may make it a pattern.
func asGitHasIt(s string) error {
	if i := strings.IndexAny(s, " ~^:[\\"); i >= 0 {
		return fmt.Errorf("%q has a %q, which no branch or repository has in its name; write it as git shows it", s, s[i])
	}
	return nil
}

// tidyOrigin makes HOST/OWNER/NAME of a repository's addresses.
func tidyOrigin(pasted string) (string, error) {
	given := Bare(pasted)
	s := given
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
	return s, asGitHasIt(s)
}

// repositoryOf takes the repository out of the path of one of its pages.
func repositoryOf(host, page string) string {
	if parts := strings.Split(page, "/"); (host == "github.com" || host == "bitbucket.org") && len(parts) > 2 {
		return strings.Join(parts[:2], "/")
	}
	page, _, _ = strings.Cut(page, "/-/") // GitLab, whose groups may be in groups
	return page
}
