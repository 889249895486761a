package hostsetup

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// directive is one line of a file of sshd_config(5).
type directive struct {
	file    string
	line    int
	keyword string // in lower case
	args    []string
	scope   []string // the Match lines that it is below, of its file and of those that include it
}

func (d directive) String() string { return fmt.Sprintf("%s:%d", d.file, d.line) }

// parseConfig reads the lines of a configuration as far as it matters here; what
// sshd would refuse is sshd's to tell. outer is the scope of the line that includes the file.
func parseConfig(file, text string, outer []string) (list []directive) {
	scope := outer
	n := 0
	for line := range strings.Lines(text) {
		n++
		fields := strings.Fields(strings.Replace(line, "=", " ", 1))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		d := directive{file: file, line: n, keyword: strings.ToLower(strings.Trim(fields[0], `"`)), scope: scope}
		for _, arg := range fields[1:] {
			if strings.HasPrefix(arg, "#") {
				break
			}
			d.args = append(d.args, strings.Trim(arg, `"`))
		}
		if d.keyword == "match" {
			scope = slices.Concat(outer, []string{"match"}, d.args)
		}
		list = append(list, d)
	}
	return list
}

// included are the patterns of an Include line, as absolute paths; none of another line.
func (d directive) included() (patterns []string) {
	if d.keyword != "include" {
		return nil
	}
	for _, pattern := range d.args {
		if !path.IsAbs(pattern) {
			pattern = SSHFolder + "/" + pattern // sshd_config(5), Include
		}
		patterns = append(patterns, pattern)
	}
	return patterns
}

// includesConfigFile tells whether sshd reads ConfigFile, whoever logs in.
func includesConfigFile(all []directive) bool {
	return slices.ContainsFunc(all, func(d directive) bool {
		return d.scope == nil && slices.ContainsFunc(d.included(), func(pattern string) bool {
			ok, err := path.Match(pattern, ConfigFile)
			return ok && err == nil
		})
	})
}

// maxIncludes is how deep sshd includes (SERVCONF_MAX_DEPTH).
const maxIncludes = 16

// directives are those of sshd_config and of all that it includes, in sshd's order.
func (d *Dir) directives() ([]directive, error) { return d.directivesOf(mainConfigFile, nil, 0) }

func (d *Dir) directivesOf(file string, scope []string, depth int) (all []directive, err error) {
	if depth > maxIncludes {
		return nil, fmt.Errorf("%s is included deeper than sshd does", file)
	}
	text, err := d.readAnywhere(file) // some systems link it out of /etc/ssh
	if err != nil {
		return nil, err
	}
	for _, line := range parseConfig(file, text, scope) {
		all = append(all, line)
		for _, pattern := range line.included() {
			names, err := d.glob(pattern)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			for _, name := range names {
				more, err := d.directivesOf(name, line.scope, depth+1)
				if errors.Is(err, fs.ErrNotExist) {
					continue // to sshd it is no fault either
				}
				if err != nil {
					return nil, err
				}
				all = append(all, more...)
			}
		}
	}
	return all, nil
}

// conflicts are lines of other files that set what the host's own file sets, or that
// let in by other principals. sshd takes the first of several.
func (h *Host) conflicts(all []directive) (list []directive) {
	for _, d := range all {
		if d.file == ConfigFile {
			continue
		}
		if d.keyword == "authorizedprincipalscommand" && !slices.Equal(d.args, []string{"none"}) {
			list = append(list, d)
		}
		for _, s := range h.settings() {
			if strings.EqualFold(d.keyword, s.keyword) && !slices.Equal(d.args, []string{s.value}) {
				list = append(list, d)
			}
		}
	}
	return list
}

// ofSomeClients tells whether a line holds only for clients at some addresses, or that
// come to some: what sshd -T says of another client does not have it.
func (d directive) ofSomeClients() bool {
	return slices.ContainsFunc(d.scope, func(criterion string) bool {
		name, _, _ := strings.Cut(strings.ToLower(criterion), "=")
		return slices.Contains([]string{"address", "host", "localaddress", "localport", "rdomain"}, name)
	})
}

// keepsOut tells whether a line may keep out who has a good certificate.
func (d directive) keepsOut() bool {
	switch d.keyword {
	case "pubkeyauthentication":
		return !slices.Equal(d.args, []string{"yes"})
	case "authenticationmethods", "allowusers", "allowgroups", "denyusers", "denygroups", "permitrootlogin", "pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes", "casignaturealgorithms", "revokedkeys":
		return true
	}
	return false
}
