package credentials

import (
	"cmp"
	"encoding/csv"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Wish is an output that somebody asks for: by flags, in --also, in a configuration
// file or in the pipe's OUTPUT.
type Wish struct {
	Kind  Kind
	flags *pflag.FlagSet // the options of the kind and those of every output's place
}

// NewWish is a wish with nothing set.
func NewWish(kind Kind) *Wish {
	w := &Wish{Kind: kind, flags: pflag.NewFlagSet(kind.Name, pflag.ContinueOnError)}
	w.flags.SortFlags = false
	for _, option := range slices.Concat(placeOptions(), kind.Options) {
		option.bind(w.flags)
	}
	return w
}

// Flags are the options as flags. To parse them is to set the wish.
func (w *Wish) Flags() *pflag.FlagSet { return w.flags }

// Has reports whether the wish has an option.
func (w *Wish) Has(name string) bool { return w.flags.Lookup(name) != nil }

// Given reports whether an option was set, by whichever of its names.
func (w *Wish) Given(name string) bool {
	option := w.flags.Lookup(name)
	given := false
	w.flags.VisitAll(func(f *pflag.Flag) { given = given || f.Changed && option != nil && f.Value == option.Value })
	return given
}

// Text is the value of an option.
func (w *Wish) Text(name string) string { return w.flags.Lookup(name).Value.String() }

// List are the values of an option; of one that has a single value that one.
func (w *Wish) List(name string) []string {
	value := w.flags.Lookup(name).Value
	if list, ok := value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{value.String()}
}

// Set gives an option its value, or one more if it takes several.
func (w *Wish) Set(name, value string) error {
	if !w.Has(name) {
		var names []string
		w.flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		e := cli.Misused("an output of type %s has no %s", w.Kind.Name, words.Clean(name))
		if near := words.Nearest(name, names); near != "" {
			return e.Hint("did you mean %s?", near)
		}
		return e.Hint("it has %s", strings.Join(names, ", "))
	}
	if err := w.flags.Set(name, value); err != nil {
		return cli.Misused("%s of an output of type %s: %s", name, w.Kind.Name, words.Clean(err.Error())).
			Hint("see `gatepass join %s --help`", w.Kind.Name)
	}
	return nil
}

// ParseWish reads an output that says itself what it is to be, such as
// database,destination=./db,username=app. A value with a comma is quoted as in CSV
// (RFC 4180): "roles=a,b". Where it stands and an example of it are for messages.
func ParseWish(text, where, example string) (*Wish, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, cli.Misused("%s %q cannot be read", where, words.Clean(text)).Hint("write it like %s", example)
	}
	kind, ok := FindKind(fields[0])
	if !ok {
		return nil, UnknownKind(fields[0])
	}
	w := NewWish(kind)
	for _, field := range fields[1:] {
		name, value, found := strings.Cut(field, "=")
		if !found {
			if f := w.flags.Lookup(name); f != nil && f.NoOptDefVal != "" {
				value, found = f.NoOptDefVal, true
			}
		}
		if !found {
			return nil, cli.Misused("%s: %q is not FLAG=VALUE", where, words.Clean(field)).Hint("write it like %s", example)
		}
		if err := w.Set(strings.TrimPrefix(name, "--"), value); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Output makes the output.
func (w *Wish) Output() (*Output, error) {
	place, err := w.place()
	if err != nil {
		return nil, err
	}
	return w.Kind.output(w, place)
}

// Check finds what is wrong with the wish on any machine: users and groups are not
// looked up. The destination becomes a plain path, or Memory.
func (w *Wish) Check() error {
	path, err := w.Path()
	if err != nil {
		return err
	}
	if _, err := w.Kind.output(w, Place{Path: path, Roles: w.List(optionRoles)}); err != nil {
		return err
	}
	return w.Set(optionDestination, cmp.Or(path, Memory))
}

// readKnownHosts reads the file that --known-hosts names, if it names one.
func (w *Wish) readKnownHosts() ([]byte, error) {
	name := w.Text(optionKnownHosts)
	if name == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, cli.Misused("reading the known_hosts file: %w", err).
			Hint("make it with: ssh-keyscan HOST > FILE, and compare its fingerprints with the host's")
	}
	return knownHostsLines(raw)
}
