package pipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// Variables that callers name too.
const (
	Output  = "OUTPUT"
	CAFile  = "CA_FILE"
	Known   = "KNOWN_HOSTS"
	IDToken = "BITBUCKET_STEP_OIDC_TOKEN"
)

// Variables of the pipe. ci/bitbucket-pipe/README.md says what each is for.
const (
	varServer      = "SERVER"
	varToken       = "TOKEN"
	varAudience    = "AUDIENCE"
	varTTL         = "TTL"
	varTimeout     = "TIMEOUT"
	varRoles       = "ROLES"
	varDestination = "DESTINATION"
	varOutputOwner = "OUTPUT_OWNER"
	varSSHUser     = "SSH_USER"
	varSSHHost     = "SSH_HOST"
	varSSHHosts    = "SSH_HOSTS" // the same, for who has several
	varSSHPort     = "SSH_PORT"
	varHostKey     = "HOST_KEY"
	varCommand     = "COMMAND"
	varScript      = "SCRIPT"
	varCopy        = "COPY"
	varKeepGoing   = "KEEP_GOING"
	varCleanup     = "CLEANUP"
	varDebug       = "DEBUG"
	varCloneDir    = "BITBUCKET_CLONE_DIR"
)

const (
	maxListed = 100
	maxLength = 32 << 10 // of one value, in bytes
	// missing is how bitbucket-pipes-toolkit says that a variable is not set.
	missing = "required field"
)

// Variables are all that the pipe knows, in the order of its documentation.
func Variables() []string {
	return []string{
		varServer, varToken, varAudience, varTTL, varTimeout, varRoles, CAFile, Known,
		Output, varDestination, varOutputOwner,
		varSSHHost, varSSHHosts, varSSHUser, varSSHPort, varHostKey, varCopy, varCommand, varScript, varKeepGoing,
		varCleanup, varDebug,
	}
}

// lists are the variables that may be a list in the YAML file. Bitbucket hands
// X: [a, b] to a pipe as X_COUNT=2, X_0=a and X_1=b.
func lists() []string {
	return []string{Output, varSSHHost, varSSHHosts, varHostKey, varCopy, varRoles}
}

// reader reads variables, and notes what is wrong with them.
type reader struct {
	getenv   func(string) string
	problems *Problems
}

// raw is a value as it is; empty means that the variable is not set.
func (r *reader) raw(name string) string {
	value := r.getenv(name)
	switch {
	case !r.set(name):
		return ""
	case len(value) > maxLength:
		r.problems.Add(name, "max length is %d", maxLength)
		return ""
	case strings.ContainsRune(value, 0):
		r.problems.Add(name, "must not hold a NUL character")
		return ""
	}
	return value
}

// set reports whether a variable has a value: an optional variable of the pipeline that has
// none comes empty. The default of pipe.yml, where the repository has no variable
// GATEPASS_NAME, comes as that name with a $.
func (r *reader) set(name string) bool {
	value := strings.TrimSpace(r.getenv(name))
	return value != "" && value != "$GATEPASS_"+name
}

// text is a value of one line.
func (r *reader) text(name string) string {
	value := strings.TrimSpace(r.raw(name))
	if !r.plain(name, value) {
		return ""
	}
	return value
}

// plain refuses what a value of one line cannot be.
func (r *reader) plain(name, value string) bool {
	switch {
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.problems.Add(name, "must be one line without control characters")
	case unset(value) != "":
		r.problems.Add(name, "its value is %s itself: that variable is not set for this repository, workspace or deployment environment", value)
	default:
		return true
	}
	return false
}

// unset is the name of a variable that Bitbucket had no value for: it leaves $NAME as it is.
func unset(value string) string {
	name, ok := strings.CutPrefix(value, "$")
	if !ok {
		return ""
	}
	if inner, braces := strings.CutPrefix(name, "{"); braces {
		name = strings.TrimSuffix(inner, "}")
	}
	if !words.Plain(name, "_") {
		return ""
	}
	return name
}

// required is text that must be there.
func (r *reader) required(name string) string {
	if r.raw(name) == "" {
		r.problems.Add(name, missing)
		return ""
	}
	return r.text(name)
}

func (r *reader) boolean(name string) bool {
	text := r.text(name)
	if text == "" {
		return false
	}
	value, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		r.problems.Add(name, "must be of boolean type: write 'true' or 'false'")
	}
	return value
}

func (r *reader) duration(name string) time.Duration {
	text := r.text(name)
	if text == "" {
		return 0
	}
	value, err := time.ParseDuration(text)
	if err != nil || value < time.Second {
		r.problems.Add(name, "unallowed value %q: write a time such as 15m or 1h", text)
		return 0
	}
	return value
}

// list is a variable that may be a list, or several values in one, separated by any of
// the characters.
func (r *reader) list(name, separators string) []string {
	var values []string
	whole := r.raw(name)
	count := r.text(name + "_COUNT")
	switch {
	case count == "" && r.getenv(name+"_0") != "":
		r.problems.Add(name, "%s_0 is set and %s_COUNT is not: write %s as a list in the YAML file", name, name, name)
	case count == "":
		values = strings.FieldsFunc(whole, func(c rune) bool { return strings.ContainsRune(separators, c) })
	case whole != "":
		r.problems.Add(name, "'%s_COUNT' must not be present with '%s'", name, name)
	default:
		values = r.counted(name, count)
	}
	var list []string
	for _, value := range values {
		if value = strings.TrimSpace(value); value != "" && r.plain(name, value) {
			list = append(list, value)
		}
	}
	return list
}

// counted is a list as Bitbucket hands it to a pipe.
func (r *reader) counted(name, count string) []string {
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxListed {
		r.problems.Add(name+"_COUNT", "must be a number from 0 to %d", maxListed)
		return nil
	}
	var values []string
	for i := range n {
		item := fmt.Sprintf("%s_%d", name, i)
		value := r.raw(item)
		if value == "" {
			r.problems.Add(item, "empty values not allowed")
		}
		values = append(values, value)
	}
	return values
}

// given reports whether a variable, or a list of its name, has a value.
func (r *reader) given(name string) bool {
	if r.set(name) {
		return true
	}
	return slices.Contains(lists(), name) && (r.getenv(name+"_COUNT") != "" || r.getenv(name+"_0") != "")
}

// exclude refuses variables that have no meaning beside another.
func (r *reader) exclude(with, why string, names ...string) {
	for _, name := range names {
		if r.given(name) {
			r.problems.Add(name, "'%s' must not be present with '%s': %s", name, with, why)
		}
	}
}
