package credentials

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Place is where an output's files go, for whom, and by which roles.
type Place struct {
	Path   string   // empty keeps them in memory
	Roles  []string // narrows the credentials to some of the bot's roles; empty means all
	Access destination.Access
}

// Options of every output.
const (
	optionDestination  = "destination"
	optionRoles        = "roles"
	optionOwner        = "owner"
	optionReaderUsers  = "reader-user"
	optionReaderGroups = "reader-group"
	optionACLs         = "acls"
)

func placeOptions() []Option {
	return []Option{
		{Name: optionDestination, Help: "directory for the credentials, a path or file:// URI; it is made if missing; memory:// keeps nothing"},
		{Name: optionRoles, Type: Commas, Help: "ask for some of the bot's roles only"},
		{Name: optionOwner, Help: "USER or USER:GROUP who gets the files; for root"},
		{Name: optionReaderUsers, Type: Many, Help: "user who may read the files besides the owner; repeatable"},
		{Name: optionReaderGroups, Type: Many, Help: "group that may read the files; repeatable"},
		{Name: optionACLs, Default: "try", Help: "access control lists for readers: try or required"},
	}
}

// SetRoles narrows the credentials to some roles, whatever is in their names. None
// leaves the wish as it is.
func (w *Wish) SetRoles(roles []string) error {
	flag := w.flags.Lookup(optionRoles)
	list, ok := flag.Value.(pflag.SliceValue)
	if !ok || len(roles) == 0 {
		return nil
	}
	flag.Changed = true
	return list.Replace(roles)
}

// place reads the options of the place.
func (w *Wish) place() (Place, error) {
	path, err := w.Path()
	if err != nil {
		return Place{}, err
	}
	p := Place{Path: path, Roles: w.List(optionRoles)}
	p.Access.Required = w.Text(optionACLs) == "required"
	if owner := w.Text(optionOwner); owner != "" {
		if p.Access.Owner, err = destination.ParseOwner(owner); err != nil {
			return Place{}, err
		}
	}
	for _, option := range []string{optionReaderUsers, optionReaderGroups} {
		for _, name := range w.List(option) {
			reader, err := destination.ParseReader(name, option == optionReaderGroups)
			if err != nil {
				return Place{}, err
			}
			p.Access.Readers = append(p.Access.Readers, reader)
		}
	}
	return p, nil
}

// Path is the directory that the files go to, empty for memory. It refuses options of
// the place that do not go together on any machine.
func (w *Wish) Path() (string, error) {
	path, err := ParsePath(w.Text(optionDestination))
	if err != nil {
		return "", err
	}
	acls := w.Text(optionACLs)
	readers := len(w.List(optionReaderUsers))+len(w.List(optionReaderGroups)) > 0
	switch {
	case acls == "off" && readers:
		return "", cli.Misused("readers are named, and acls are off").
			Hint("readers are let in by access control lists: use acls try or required, or --owner")
	case acls != "" && acls != "try" && acls != "off" && acls != "required":
		return "", cli.Misused("--acls %q is not known", words.Clean(acls)).Hint("use --acls=try or --acls=required")
	case path == "" && (readers || w.Text(optionOwner) != ""):
		return "", cli.Misused("nobody can read a destination in memory").Hint("leave out --owner, --reader-user and --reader-group, or give a directory")
	}
	return path, nil
}

// Memory is the destination of an output whose files are written nowhere.
const Memory = "memory://"

// ParsePath reads a destination: a path, or a URI as tbot has it. Memory is the empty path.
func ParsePath(raw string) (string, error) {
	scheme, _, found := strings.Cut(raw, "://")
	switch {
	case raw == "":
		return "", cli.Misused("no destination is given").
			Hint("give --destination DIR, a directory for the credentials alone")
	case strings.ContainsFunc(raw, func(r rune) bool { return !words.Harmless(r) || r == utf8.RuneError }):
		// It is printed, and stands in commands that people copy.
		return "", cli.Misused("the destination %q has a line break or another character that cannot be seen", words.Visible(raw)).
			Hint("give a directory whose name can be printed")
	case !found:
		return raw, nil
	case scheme == "file":
		u, err := url.Parse(raw)
		if err != nil || u.Host != "" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" {
			return "", cli.Misused("--destination %s is not a file URI", words.Clean(raw)).Hint("write file:///absolute/path, or a plain path")
		}
		return u.Path, nil
	case raw == Memory:
		return "", nil
	}
	return "", cli.Misused("destinations of kind %s are not supported", words.Clean(scheme)).Hint("give a directory, such as --destination=./tbot-user")
}
