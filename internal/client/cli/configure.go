package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/client/command"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/tbot"
)

const configureExample = `  gatepass configure identity --server join.example.com:443 --token example-bot --oneshot \
    --destination ./id --also database,destination=./db,username=app -o tbot.yaml
  gatepass start -c tbot.yaml`

func newConfigure(env *Env) *command.Command {
	configure := &command.Command{
		Use:     "configure TYPE",
		Short:   "Write a configuration file for gatepass start -c",
		Example: configureExample,
		Args: func(_ *command.Command, args []string) error {
			if len(args) > 0 {
				return noOutput(args[0])
			}
			return failure.New(failure.Usage, "no output type is given").Hint("use one of %s", strings.Join(outputNames(), ", "))
		},
		Run: func(context.Context, []string) error { return nil }, // Args refuses
	}
	for _, out := range outputCommands() {
		configure.Add(newConfigureOutput(env, out))
	}
	return configure
}

func newConfigureOutput(env *Env, out outputCommand) *command.Command {
	var flags startFlags
	var file string
	var also []string
	cmd := &command.Command{
		Use:     out.name,
		Aliases: out.aliases,
		Short:   "For " + out.short,
		Example: configureExample,
		Args:    noArgs,
	}
	w := newWish(out)
	flags.bind(cmd.Flags(), w.flags)
	cmd.Flags().StringArrayVar(&also, "also", nil, alsoHelp)
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write, which must not be there yet (default: stdout)")
	cmd.Run = func(_ context.Context, _ []string) error {
		if err := flags.settle(env); err != nil {
			return err
		}
		for _, name := range []string{"ca-file", "timeout", "retry", "report", "format"} {
			if cmd.Flags().Changed(name) && w.flags.Lookup(name) == nil {
				return failure.New(failure.Usage, "a configuration file has no field for --%s", name).
					Hint("give it to gatepass start; for --ca-file set %s where it runs", envCAFile)
			}
		}
		wishes := []*wish{w}
		for _, spec := range also {
			another, err := parseAlso(spec)
			if err != nil {
				return err
			}
			wishes = append(wishes, another)
		}
		raw, err := flags.configuration(env, wishes)
		if err != nil {
			return err
		}
		return env.writeConfiguration(file, raw)
	}
	return cmd
}

// configuration is the file that says what the flags say. The environment is
// left to where the file is used.
func (f *startFlags) configuration(env *Env, wishes []*wish) ([]byte, error) {
	config := &tbot.Config{
		Server: f.server, Token: f.token, JoinMethod: f.method, Audience: f.audience, IDTokenFile: f.idTokenFile,
		TTL: f.ttl, Renewal: f.interval, Oneshot: f.oneshot,
	}
	for _, w := range wishes {
		out, err := w.configured()
		if err != nil {
			return nil, err
		}
		config.Outputs = append(config.Outputs, out)
	}
	raw, err := tbot.Write(config)
	if err != nil {
		return nil, err
	}
	// What is written must be what start reads.
	read, err := tbot.Parse("the configuration", raw, supported)
	if err != nil {
		return nil, err
	}
	for _, warning := range read.Warnings {
		env.warn(warning)
	}
	return raw, nil
}

// configured is the output as a file has it. It is checked as far as it can be
// on a machine that is not the one where it will be used.
func (w *wish) configured() (tbot.Output, error) {
	path, err := w.place.check()
	if err != nil {
		return tbot.Output{}, err
	}
	if _, err := w.make(place{path: path, roles: w.place.roles}); err != nil {
		return tbot.Output{}, err
	}
	out := tbot.Output{
		Type: w.command.name, Roles: w.place.roles,
		Destination: tbot.Destination{Path: path, Owner: w.place.owner, ReaderUsers: w.place.readerUsers, ReaderGroups: w.place.readerGroups},
	}
	if w.place.acls != "try" {
		out.Destination.ACLs = w.place.acls
	}
	var where placeFlags
	ofPlace := pflag.NewFlagSet("", pflag.ContinueOnError)
	where.bind(ofPlace)
	// Visit would not do: it knows only what was set through its own set of flags.
	w.flags.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed || ofPlace.Lookup(flag.Name) != nil {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		name := flag.Name
		if first, ok := otherNames()[name]; ok {
			name = first
		}
		for _, value := range values {
			out.Options = append(out.Options, tbot.Option{Flag: name, Value: value})
		}
	})
	return out, nil
}

// otherNames are flags that mean the same as another.
func otherNames() map[string]string {
	return map[string]string{"db-user": "username", "db-name": "database"}
}

// writeConfiguration never overwrites: there may be a file that was written by hand.
func (env *Env) writeConfiguration(name string, raw []byte) error {
	if name == "" {
		_, err := env.Stdout.Write(raw)
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // nothing in it is secret
	if err == nil {
		_, err = file.Write(raw)
		if closed := file.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return failure.New(failure.Local, "writing the configuration: %w", err).Hint("name a file that is not there yet with -o, or leave it out and use stdout")
	}
	fmt.Fprintf(env.Stdout, "wrote %s; use it with: gatepass start -c %s\n", name, name)
	return nil
}
