package pipe

import (
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// otherPipes is what other pipes call what ours calls otherwise.
func otherPipes() map[string]string {
	return map[string]string{
		"SSH_HOST_KEY": varHostKey, "KNOWN_HOSTS_FILE": Known, "HOST": varSSHHost, "HOSTS": varSSHHost, "SSH_HOSTNAME": varSSHHost, "USER_NAME": varSSHUser, "SSH_USERNAME": varSSHUser,
		"PORT": varSSHPort, "LOCAL_PATH": varCopy, "REMOTE_PATH": varCopy, "OIDC_AUDIENCE": varAudience,
		"OUTPUTS": Output, "OUTPUT_DIR": varDestination, "GATEPASS_SERVER": varServer, "GATEPASS_TOKEN": varToken,
	}
}

// unknown finds names that are almost ours. A pipe has no list of the variables that it
// was given, and a misspelt TTL or KEEP_GOING would be passed over without a word.
func (r *reader) unknown(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" || r.known(name) || strings.HasPrefix(name, "BITBUCKET_") {
			continue
		}
		near := otherPipes()[name]
		if near == "" {
			near = words.Nearest(listName(name), Variables())
		}
		if near != "" {
			r.problems.Add(name, "unknown field: did you mean %s?", near)
		}
	}
}

func (r *reader) known(name string) bool {
	return slices.Contains(Variables(), name) || slices.Contains(lists(), listName(name))
}

// listName is the name of the list that NAME_COUNT or NAME_7 is of, else the name itself.
func listName(name string) string {
	i := strings.LastIndexByte(name, '_')
	if i < 0 || name[i+1:] != "COUNT" && !number(name[i+1:]) {
		return name
	}
	return name[:i]
}
