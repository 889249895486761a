package commands

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/tbot"
)

const configureExample = `  gatepass configure identity --server join.example.com:443 --token example-bot --oneshot \
    --destination ./id --also database,destination=./db,username=app -o tbot.yaml
  gatepass start -c tbot.yaml`

func newConfigure(env *Env) *cobra.Command {
	configure := &cobra.Command{
		Use:     "configure TYPE",
		Short:   "Write a configuration file for gatepass start -c",
		Example: configureExample,
		Args:    knownKind,
		RunE: func(*cobra.Command, []string) error {
			return cli.Misused("no output type is given").Hint("use one of %s", strings.Join(credentials.KindNames(), ", "))
		},
	}
	for _, kind := range credentials.Kinds() {
		configure.AddCommand(newConfigureOutput(env, kind))
	}
	return configure
}

func newConfigureOutput(env *Env, kind credentials.Kind) *cobra.Command {
	flags := startFlags{joinFlags: joinFlags{format: &env.Format}}
	var file string
	var also []string
	cmd, w := outputCommand(kind, "For", configureExample, flags.bind)
	cmd.Flags().StringArrayVar(&also, "also", nil, alsoHelp)
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write, which must not be there yet (default: stdout)")
	cmd.RunE = func(_ *cobra.Command, _ []string) error {
		if err := flags.settle(env); err != nil {
			return err
		}
		for _, name := range []string{"ca-file", "timeout", "retry", "report", "format"} {
			if cmd.Flags().Changed(name) && !w.Has(name) {
				return cli.Misused("a configuration file has no field for --%s", name).
					Hint("give it to gatepass start; for --ca-file set %s where it runs", envCAFile)
			}
		}
		wishes, err := wishesOf(w, also)
		if err != nil {
			return err
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
func (f *startFlags) configuration(env *Env, wishes []*credentials.Wish) ([]byte, error) {
	config := &tbot.Config{
		Server: f.server, Token: f.token, JoinMethod: f.method, Audience: f.audience, IDTokenFile: f.idTokenFile,
		TTL: f.ttl, Renewal: f.interval, Oneshot: f.oneshot, Outputs: wishes,
	}
	// It is checked as far as it can be on a machine that is not the one where it will be used.
	for _, w := range wishes {
		if err := w.Check(); err != nil {
			return nil, err
		}
	}
	raw := tbot.Write(config)
	// What is written must be what start reads.
	read, err := tbot.Parse("the configuration", raw)
	if err != nil {
		return nil, err
	}
	for _, warning := range read.Warnings {
		env.warn(warning)
	}
	return raw, nil
}

// writeConfiguration never overwrites: there may be a file that was written by hand.
func (env *Env) writeConfiguration(name string, raw []byte) error {
	if name == "" {
		_, err := env.Out.Write(raw)
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
		return cli.Failed("writing the configuration: %w", err).Hint("name a file that is not there yet with -o, or leave it out and use stdout")
	}
	fmt.Fprintf(env.Out, "wrote %s; use it with: gatepass start -c %s\n", name, name)
	return nil
}
