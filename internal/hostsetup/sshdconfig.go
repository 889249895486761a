package hostsetup

import (
	"fmt"
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
	matched bool // below a Match line
}

func (d directive) String() string { return fmt.Sprintf("%s:%d", d.file, d.line) }

// parseConfig reads the lines of a configuration as far as it matters here; what
// sshd would refuse is sshd's to tell.
func parseConfig(file, text string) (list []directive) {
	matched := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		fields := strings.Fields(strings.Replace(line, "=", " ", 1))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		d := directive{file: file, line: n, keyword: strings.ToLower(strings.Trim(fields[0], `"`)), matched: matched}
		for _, arg := range fields[1:] {
			if strings.HasPrefix(arg, "#") {
				break
			}
			d.args = append(d.args, strings.Trim(arg, `"`))
		}
		matched = matched || d.keyword == "match"
		list = append(list, d)
	}
	return list
}

// includesConfigFile tells whether sshd reads ConfigFile, whoever logs in.
func includesConfigFile(main []directive) bool {
	return slices.ContainsFunc(main, func(d directive) bool {
		return d.keyword == "include" && !d.matched && slices.ContainsFunc(d.args, func(pattern string) bool {
			if !path.IsAbs(pattern) {
				pattern = SSHFolder + "/" + pattern // sshd_config(5), Include
			}
			ok, err := path.Match(pattern, ConfigFile)
			return ok && err == nil
		})
	})
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
