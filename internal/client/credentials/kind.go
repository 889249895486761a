package credentials

import (
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Kind is one kind of output, declared once. Flags, --also, configuration files and
// the pipe's OUTPUT all read the declaration. A new kind is a file of this package
// and an entry in Kinds.
type Kind struct {
	Name    string
	Aliases []string // tbot's other names for it
	Short   string   // what it is, for help
	Example string   // its own flags, for help
	Options []Option // its own, in the order of help and of configuration files
	Ignored []Ignored

	// output makes an output of what was asked for. It refuses what cannot be
	// granted or written, before an ID token is spent on it.
	output func(*Wish, Place) (*Output, error)
}

// Ignored is a field of tbot that is harmless to leave out.
type Ignored struct{ Field, Why string }

// Kinds are all kinds of outputs. The first one is meant where none is named.
func Kinds() []Kind {
	return []Kind{identity(), database(), application(), kubernetes(), jwt()}
}

// FindKind finds a kind by its name or another name for it.
func FindKind(name string) (Kind, bool) {
	all := Kinds()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name || slices.Contains(k.Aliases, name) })
	if i < 0 {
		return Kind{}, false
	}
	return all[i], true
}

// KindNames are the names of all kinds.
func KindNames() []string {
	var names []string
	for _, kind := range Kinds() {
		names = append(names, kind.Name)
	}
	return names
}

// UnknownKind refuses a word in the place of a kind's name.
func UnknownKind(word string) error {
	e := cli.Misused("unknown output type %q", words.Clean(word))
	if near := words.Nearest(word, KindNames()); near != "" {
		return e.Hint("did you mean %s?", near)
	}
	return e.Hint("use one of %s", strings.Join(KindNames(), ", "))
}
