package cli

import (
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// placeFlags say where an output's files go, for whom, and by which roles.
type placeFlags struct {
	destination  string
	roles        []string
	owner        string
	readerUsers  []string
	readerGroups []string
	acls         string
}

func (f *placeFlags) bind(fs *pflag.FlagSet) {
	fs.StringVar(&f.destination, "destination", "", "directory for the credentials, a path or file:// URI; it is made if missing; memory:// keeps nothing")
	fs.StringSliceVar(&f.roles, "roles", nil, "ask for some of the bot's roles only")
	fs.StringVar(&f.owner, "owner", "", "USER or USER:GROUP who gets the files; for root")
	fs.StringArrayVar(&f.readerUsers, "reader-user", nil, "user who may read the files besides the owner; repeatable")
	fs.StringArrayVar(&f.readerGroups, "reader-group", nil, "group that may read the files; repeatable")
	fs.StringVar(&f.acls, "acls", "try", "access control lists for readers: try or required")
}

// place is where an output goes.
type place struct {
	path   string // empty for memory
	roles  []string
	access destination.Access
}

// settle reads the flags.
func (f *placeFlags) settle() (place, error) {
	path, err := f.check()
	if err != nil {
		return place{}, err
	}
	p := place{path: path, roles: f.roles}
	p.access.Required = f.acls == "required"
	if f.owner != "" {
		if p.access.Owner, err = destination.ParseOwner(f.owner); err != nil {
			return place{}, err
		}
	}
	for _, list := range []struct {
		names []string
		group bool
	}{{f.readerUsers, false}, {f.readerGroups, true}} {
		for _, name := range list.names {
			reader, err := destination.ParseReader(name, list.group)
			if err != nil {
				return place{}, err
			}
			p.access.Readers = append(p.access.Readers, reader)
		}
	}
	return p, nil
}

// check returns the path, and refuses what does not go together on any machine.
func (f *placeFlags) check() (path string, err error) {
	if path, err = destinationPath(f.destination); err != nil {
		return "", err
	}
	readers := len(f.readerUsers)+len(f.readerGroups) > 0
	switch {
	case f.acls == "off" && readers:
		return "", failure.New(failure.Usage, "readers are named, and acls are off").
			Hint("readers are let in by access control lists: use acls try or required, or --owner")
	case f.acls != "" && f.acls != "try" && f.acls != "off" && f.acls != "required":
		return "", failure.New(failure.Usage, "--acls %q is not known", failure.Clean(f.acls)).Hint("use --acls=try or --acls=required")
	case path == "" && (readers || f.owner != ""):
		return "", failure.New(failure.Usage, "nobody can read a destination in memory").Hint("leave out --owner, --reader-user and --reader-group, or give a directory")
	}
	return path, nil
}

// destinationPath reads --destination: a path, or a URI as tbot has it. Memory is the empty path.
func destinationPath(raw string) (string, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	switch {
	case raw == "":
		return "", failure.New(failure.Usage, "no destination is given").
			Hint("give --destination DIR, a directory for the credentials alone")
	case !found:
		return raw, nil
	case scheme == "file":
		u, err := url.Parse(raw)
		if err != nil || u.Host != "" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" {
			return "", failure.New(failure.Usage, "--destination %s is not a file URI", failure.Clean(raw)).Hint("write file:///absolute/path, or a plain path")
		}
		return u.Path, nil
	case scheme == "memory" && rest == "":
		return "", nil
	}
	return "", failure.New(failure.Usage, "destinations of kind %s are not supported", failure.Clean(scheme)).Hint("give a directory, such as --destination=./tbot-user")
}
