package credentials

import (
	"strings"

	"github.com/spf13/pflag"
)

// Option is a setting of an output: a flag of a command, NAME=VALUE in --also and in
// the pipe's OUTPUT, and a field of a configuration file.
type Option struct {
	Name    string
	Other   string // another name of the flag
	Field   string // of a configuration file; empty means Name with underscores
	Default string
	Help    string
	Type    OptionType
	Values  []string // that it can have, if they are few
	// File says that the value is the path of a file.
	File bool
	// Opposite says that the field of a configuration file means the opposite.
	Opposite bool
}

// OptionType is what values an option takes.
type OptionType int

// The types.
const (
	Text   OptionType = iota
	Many              // several values, one each time it is given
	Commas            // several values, separated by commas too
	Switch            // true or false
)

// FieldName is the name of the option's field in a configuration file.
func (o Option) FieldName() string {
	if o.Field != "" {
		return o.Field
	}
	return strings.ReplaceAll(o.Name, "-", "_")
}

// bind adds the option to a set of flags.
func (o Option) bind(fs *pflag.FlagSet) {
	switch o.Type {
	case Text:
		fs.String(o.Name, o.Default, o.Help)
	case Many:
		fs.StringArray(o.Name, nil, o.Help)
	case Commas:
		fs.StringSlice(o.Name, nil, o.Help)
	case Switch:
		fs.Bool(o.Name, false, o.Help)
	}
	if o.Other != "" {
		fs.Var(fs.Lookup(o.Name).Value, o.Other, "another name for --"+o.Name)
	}
}
