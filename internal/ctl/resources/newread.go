package resources

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

var uuidInside = regexp.MustCompile(`(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// readValue reads a setting or a field of a CI: as it is, or out of what people paste.
func readValue(q *provider.Question, v *provider.Value, s string) (string, error) {
	switch {
	case v.Form == provider.UUID:
		return readID(q, v, s)
	case q.Tidy != nil:
		tidied, err := q.Tidy(s)
		if err != nil {
			return "", err
		}
		return rules.CheckValue(v, tidied)
	}
	return rules.CheckValue(v, provider.Bare(s))
}

// readID reads a UUID: as it is, or out of an address or a resource name that has one.
func readID(q *provider.Question, v *provider.Value, s string) (string, error) {
	s = provider.Bare(s)
	if !strings.Contains(s, "://") && !strings.HasPrefix(s, "ari:") {
		return rules.CheckValue(v, s)
	}
	found := uuidInside.FindAllString(unescape(s), -1)
	if len(found) != 1 || q.Belongs == nil || !q.Belongs(s) {
		return "", fmt.Errorf("%q does not have the id in it; it is found %s", s, v.Where)
	}
	return rules.CheckValue(v, found[0])
}

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// readAudience takes an audience of the service's own.
func readAudience(s string) (string, error) {
	s = provider.Bare(s)
	const own = "every service that gets tokens of the same pipelines shares it; give the URL of your Gatepass service"
	switch {
	case strings.HasPrefix(s, "ari:"):
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

// readLogins reads a list with commas, and returns it so.
func readLogins(s string) (string, error) {
	var logins []string
	for login := range strings.SplitSeq(provider.Bare(s), ",") {
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
	s = provider.Bare(s)
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
