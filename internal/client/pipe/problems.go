package pipe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Problems are what is wrong with the variables, all of it.
type Problems struct{ of map[string][]string }

// Add notes what is wrong with a variable.
func (p *Problems) Add(variable, format string, args ...any) {
	if p.of == nil {
		p.of = make(map[string][]string)
	}
	variable = words.Clean(variable) // a stranger's, if it is not ours
	text := words.Clean(fmt.Sprintf(format, args...))
	if !slices.Contains(p.of[variable], text) {
		p.of[variable] = append(p.of[variable], text)
	}
}

// AddError notes an error, with what to do about it. What is a flag elsewhere is a
// variable here, or a setting of an output, which has no dashes.
func (p *Problems) AddError(variable string, err error) {
	f := cli.Of(err)
	text := strings.Join(append([]string{f.Error()}, f.Hints...), "; ")
	p.Add(variable, "%s", withoutDashes(inVariables(text)))
}

// withoutDashes takes the dashes from words that begin with two, and from no others, such
// as the first line of a certificate.
func withoutDashes(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "--")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		dashes := len(after) - len(strings.TrimLeft(after, "-"))
		begins := before == "" || strings.ContainsAny(before[len(before)-1:], " (`")
		if !begins || dashes > 0 || after == "" || after[0] < 'a' || after[0] > 'z' {
			b.WriteString("--" + after[:dashes])
		}
		text = after[dashes:]
	}
}

// inVariables puts variables into a message in place of the flags of other commands.
func inVariables(text string) string {
	return strings.NewReplacer(
		"--server-ca", "--server-ca", // an output's, and longer than the next
		"--server and GATEPASS_SERVER", varServer, "--server", varServer, "--token and GATEPASS_TOKEN", varToken, "--token", varToken,
		"GATEPASS_CA_FILE and --ca-file name", CAFile+" names", "--ca-file", CAFile, "--audience", varAudience, "--ttl", varTTL,
		"--known-hosts", Known, "--host-key", varHostKey, "--login", varSSHUser, "--destination", varDestination, "--owner", varOutputOwner,
		"--connect-timeout", varTimeout, "--timeout", varTimeout,
	).Replace(text)
}

// Has reports whether anything is wrong with a variable, or, of "", with any.
func (p *Problems) Has(variable string) bool {
	if variable == "" {
		return len(p.of) > 0
	}
	return len(p.of[variable]) > 0
}

// String is what pipes print of wrong variables: bitbucket-pipes-toolkit dumps the
// errors of its validator as YAML.
func (p *Problems) String() string {
	var b strings.Builder
	b.WriteString("Validation errors: \n")
	for _, variable := range slices.Sorted(maps.Keys(p.of)) {
		b.WriteString(variable + ":\n")
		for _, text := range p.of[variable] {
			b.WriteString("- " + text + "\n")
		}
	}
	return b.String()
}
