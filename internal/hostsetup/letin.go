package hostsetup

import (
	"path"
	"slices"
	"strings"
)

// checkLetIn looks at what keeps an account out although its certificate is good.
func (f *findings) checkLetIn(name string, account Account, values map[string][]string) {
	about := func(keyword string) string { return "sshd, for " + name + ": " + keyword }
	user := []string{name}
	for _, list := range []struct {
		keyword string
		allows  bool
		names   []string
	}{
		{"AllowUsers", true, user}, {"DenyUsers", false, user},
		{"AllowGroups", true, account.Groups}, {"DenyGroups", false, account.Groups},
	} {
		patterns := values[strings.ToLower(list.keyword)]
		switch {
		case len(patterns) == 0:
		case len(list.names) == 0:
			f.warn(about(list.keyword), "is set, and the account's groups are not known here", "see that the account is let in")
		case list.allows && !matchesAny(patterns, list.names):
			f.add(about(list.keyword), "is "+strings.Join(patterns, " ")+", which the account is not among", "add it there")
		case !list.allows && matchesAny(slices.DeleteFunc(slices.Clone(patterns), fromSomewhere), list.names):
			f.add(about(list.keyword), "is "+strings.Join(patterns, " ")+", which keeps the account out", "take it from there")
		case !list.allows && matchesAny(patterns, list.names):
			f.warn(about(list.keyword), "is "+strings.Join(patterns, " ")+", which keeps the account out from some addresses", "see that jobs come from others")
		}
	}
	// Each of its lists is a way in, with all methods of the list.
	if ways := strings.Fields(strings.Join(values["authenticationmethods"], " ")); len(ways) > 0 && !slices.Contains(ways, "any") && !slices.Contains(ways, "publickey") {
		f.add(about("AuthenticationMethods"), "is "+strings.Join(ways, " ")+", so a certificate alone is not enough", "add publickey as a list of its own")
	}
	if name == "root" && slices.Contains(values["permitrootlogin"], "no") {
		f.add(about("PermitRootLogin"), "is no", "write PermitRootLogin prohibit-password, or use another account")
	}
	if account.Locked && !slices.Contains(values["usepam"], "yes") {
		f.add("account "+name, "is locked, and without UsePAM sshd refuses those", "usermod -p '*' "+name+", which allows no password and is not locked")
	}
}

// fromSomewhere tells whether a pattern is about clients of some hosts only.
func fromSomewhere(pattern string) bool { return strings.Contains(pattern, "@") }

// matchesAny tells whether a name is matched by a pattern of sshd_config(5): * and ? are
// special, and what follows an @ is about the client's host, which is not known here.
func matchesAny(patterns, names []string) bool {
	literal := strings.NewReplacer(`\`, `\\`, `[`, `\[`)
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			user := pattern
			if at := strings.LastIndexByte(pattern, '@'); at > 0 && !strings.Contains(name, "@") {
				user = pattern[:at]
			}
			ok, err := path.Match(literal.Replace(user), name)
			return ok && err == nil
		})
	})
}
