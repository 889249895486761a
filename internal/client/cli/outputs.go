package cli

import (
	"encoding/csv"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// outputCommand is one type of output on the command line. A new type is an
// entry in outputCommands and a file in internal/client/credentials.
type outputCommand struct {
	name    string
	aliases []string // tbot's other names for it
	short   string
	example string // its own flags
	// bind adds the output's own flags, and returns what makes the output once they are parsed.
	bind func(*pflag.FlagSet) func(place) (credentials.Output, error)
}

func outputCommands() []outputCommand {
	return []outputCommand{
		{
			name: credentials.TypeIdentity, aliases: []string{"ssh", "id"}, bind: bindIdentity,
			short: "an SSH and an X.509 certificate for the bot itself",
		},
		{
			name: credentials.TypeDatabase, aliases: []string{"db"}, bind: bindDatabase,
			short:   "a client certificate of a database user",
			example: "--username app --database orders --server-ca db-ca.pem",
		},
		{
			name: credentials.TypeApplication, aliases: []string{"app"}, bind: bindApplication,
			short:   "a client certificate for a web application",
			example: "--app grafana",
		},
		{
			name: credentials.TypeKubernetes, aliases: []string{"k8s"}, bind: bindKubernetes,
			short:   "a kubeconfig",
			example: "--kubernetes-server https://10.0.0.1:6443 --kubernetes-ca cluster-ca.pem --kubernetes-user ci",
		},
		{
			name: credentials.TypeJWT, bind: bindJWT,
			short:   "a token for a relying party that verifies OIDC tokens",
			example: "--jwt-audience https://vault.example.com",
		},
	}
}

// findOutput finds an output by its name or another name for it.
func findOutput(name string) (outputCommand, bool) {
	all := outputCommands()
	i := slices.IndexFunc(all, func(c outputCommand) bool { return c.name == name || slices.Contains(c.aliases, name) })
	if i < 0 {
		return outputCommand{}, false
	}
	return all[i], true
}

// supported reports whether a configuration file may have outputs of the type.
func supported(kind string) bool {
	found, ok := findOutput(kind)
	return ok && found.name == kind
}

func outputNames() []string {
	var names []string
	for _, c := range outputCommands() {
		names = append(names, c.name)
	}
	return names
}

// noOutput refuses a word in the place of an output's type.
func noOutput(word string) error {
	e := failure.New(failure.Usage, "unknown output type %q", failure.Clean(word))
	if near := words.Nearest(word, outputNames()); near != "" {
		return e.Hint("did you mean %s?", near)
	}
	return e.Hint("use one of %s", strings.Join(outputNames(), ", "))
}

// wish is an output that the command line or a file asks for, its flags parsed.
type wish struct {
	command outputCommand
	flags   *pflag.FlagSet // the output's own and those of its place
	place   placeFlags
	make    func(place) (credentials.Output, error)
}

func newWish(command outputCommand) *wish {
	w := &wish{command: command, flags: pflag.NewFlagSet(command.name, pflag.ContinueOnError)}
	w.flags.SortFlags = false
	w.place.bind(w.flags)
	w.make = command.bind(w.flags)
	return w
}

// output makes the output.
func (w *wish) output() (credentials.Output, error) {
	where, err := w.place.settle()
	if err != nil {
		return nil, err
	}
	return w.make(where)
}

// set gives a flag its value, from a file or from --also.
func (w *wish) set(flag, value string) error {
	if w.flags.Lookup(flag) == nil {
		var names []string
		w.flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		e := failure.New(failure.Usage, "an output of type %s has no %s", w.command.name, failure.Clean(flag))
		if near := words.Nearest(flag, names); near != "" {
			return e.Hint("did you mean %s?", near)
		}
		return e.Hint("it has %s", strings.Join(names, ", "))
	}
	if err := w.flags.Set(flag, value); err != nil {
		return failure.New(failure.Usage, "%s of an output of type %s: %s", flag, w.command.name, failure.Clean(err.Error())).
			Hint("see `gatepass join %s --help`", w.command.name)
	}
	return nil
}

const alsoHelp = "another output of the same join: TYPE,FLAG=VALUE,… with that output's flags; repeatable"

// parseAlso reads --also: database,destination=./db,username=app. A value with a
// comma is quoted as in CSV (RFC 4180): "roles=a,b".
func parseAlso(spec string) (*wish, error) {
	return parseOutput(spec, "--also", "--also database,destination=./db,username=app")
}

// parseOutput reads what says itself, in a variable or by a flag, what an output is to be.
func parseOutput(spec, where, example string) (*wish, error) {
	reader := csv.NewReader(strings.NewReader(spec))
	fields, err := reader.Read()
	if err != nil || strings.ContainsAny(spec, "\r\n") {
		return nil, failure.New(failure.Usage, "%s %q cannot be read", where, failure.Clean(spec)).Hint("write it like %s", example)
	}
	command, ok := findOutput(fields[0])
	if !ok {
		return nil, noOutput(fields[0])
	}
	w := newWish(command)
	for _, field := range fields[1:] {
		flag, value, found := strings.Cut(field, "=")
		if !found {
			if f := w.flags.Lookup(flag); f != nil && f.NoOptDefVal != "" {
				value, found = f.NoOptDefVal, true
			}
		}
		if !found {
			return nil, failure.New(failure.Usage, "%s: %q is not FLAG=VALUE", where, failure.Clean(field)).Hint("write it like %s", example)
		}
		if err := w.set(strings.TrimPrefix(flag, "--"), value); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// outputsOf makes the output of a command and those of its --also flags.
func outputsOf(first *wish, also []string) ([]credentials.Output, error) {
	wishes := []*wish{first}
	for _, spec := range also {
		w, err := parseAlso(spec)
		if err != nil {
			return nil, err
		}
		wishes = append(wishes, w)
	}
	return makeOutputs(wishes)
}

func makeOutputs(wishes []*wish) ([]credentials.Output, error) {
	var outputs []credentials.Output
	for _, w := range wishes {
		made, err := w.output()
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, made)
	}
	return outputs, nil
}
