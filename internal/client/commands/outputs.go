package commands

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
)

// outputCommand is a command for one kind of output. bind adds its flags, and the
// kind's own among them: to parse these is to set the wish.
func outputCommand(kind credentials.Kind, doing, example string, bind func(fs, own *pflag.FlagSet)) (*cobra.Command, *credentials.Wish) {
	cmd := &cobra.Command{Use: kind.Name, Aliases: kind.Aliases, Short: doing + " " + kind.Short, Example: example, Args: cli.Exactly()}
	w := credentials.NewWish(kind)
	bind(cmd.Flags(), w.Flags())
	for _, option := range kind.Options {
		if len(option.Values) > 0 {
			cli.Complete(cmd, option.Name, option.Values...)
		}
	}
	return cmd, w
}

// knownKind refuses a word where a command for a kind of output was meant.
func knownKind(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return credentials.UnknownKind(args[0])
	}
	return nil
}

// loginFlags are flags of an SSH certificate whose key is in no file, and of which
// hosts are known.
type loginFlags struct{ wish *credentials.Wish }

func newLoginFlags() loginFlags { return loginFlags{credentials.NewWish(credentials.Login())} }

// bind adds some of the output's options as flags.
func (f loginFlags) bind(fs *pflag.FlagSet, options ...string) {
	for _, name := range options {
		fs.AddFlag(f.wish.Flags().Lookup(name))
	}
}

// login is the output; dir is where its files will be.
func (f loginFlags) login(dir string) (*credentials.Output, error) {
	if err := f.wish.Set("destination", dir); err != nil {
		return nil, err
	}
	return f.wish.Output()
}

const alsoHelp = "another output of the same join: TYPE,FLAG=VALUE,… with that output's flags; repeatable"

// parseAlso reads --also: database,destination=./db,username=app.
func parseAlso(text string) (*credentials.Wish, error) {
	return credentials.ParseWish(text, "--also", "--also database,destination=./db,username=app")
}

// wishesOf are the output of a command and those of its --also flags.
func wishesOf(first *credentials.Wish, also []string) ([]*credentials.Wish, error) {
	wishes := []*credentials.Wish{first}
	for _, text := range also {
		w, err := parseAlso(text)
		if err != nil {
			return nil, err
		}
		wishes = append(wishes, w)
	}
	return wishes, nil
}

func makeOutputs(wishes []*credentials.Wish) ([]*credentials.Output, error) {
	var outputs []*credentials.Output
	for _, w := range wishes {
		made, err := w.Output()
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, made)
	}
	return outputs, nil
}

// hold joins for an SSH certificate that stays in memory. needs are those of client.Join.
func (f loginFlags) hold(ctx context.Context, env *Env, flags *joinFlags, needs ...func() error) (*client.Held, error) {
	login, err := f.login(credentials.Memory)
	if err != nil {
		return nil, err
	}
	join, err := flags.join(env, []*credentials.Output{login})
	if err != nil {
		return nil, err
	}
	join.Needs = needs
	held, err := join.Hold(ctx)
	if err != nil {
		return nil, err
	}
	env.warnAll(held.Report.Warnings)
	return held, nil
}
