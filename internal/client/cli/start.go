package cli

import (
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/output"
	"github.com/gatepass-ci/gatepass/internal/client/tbot"
)

const startExample = `  gatepass start identity --destination=./tbot-user --join-method=bitbucket \
    --proxy-server=join.example.com:443 --token=example-bot --oneshot

  gatepass start -c tbot.yaml      # where tbot.yaml is
    version: v2
    proxy_server: join.example.com:443
    onboarding: {token: example-bot, join_method: circleci}
    oneshot: true
    storage: {type: memory}
    outputs:
      - type: identity
        destination: {type: directory, path: /opt/machine-id}`

// startFlags are tbot's flags besides those of joinFlags.
type startFlags struct {
	joinFlags
	proxy, auth     string
	certificateTTL  time.Duration
	credentialTTL   time.Duration
	oneshot         bool
	storage         string
	caPins          []string
	renewalInterval time.Duration
}

func (f *startFlags) bind(fs *pflag.FlagSet) {
	f.joinFlags.bind(fs)
	fs.StringVar(&f.proxy, "proxy-server", "", "tbot's name for --server")
	fs.StringVarP(&f.auth, "auth-server", "a", "", "tbot's name for --server")
	fs.DurationVar(&f.certificateTTL, "certificate-ttl", 0, "tbot's name for --ttl")
	fs.DurationVar(&f.credentialTTL, "credential-ttl", 0, "tbot's name for --ttl")
	fs.BoolVar(&f.oneshot, "oneshot", false, "join once and end; required by this version")
	fs.StringVar(&f.storage, "storage", "", "accepted for tbot's sake; nothing is stored between joins")
	fs.StringArrayVar(&f.caPins, "ca-pin", nil, "refused: the service is known by its https certificate")
	fs.DurationVar(&f.renewalInterval, "renewal-interval", 0, "accepted for tbot's sake; with --oneshot nothing is renewed")
}

// settle brings tbot's names together with ours.
func (f *startFlags) settle(env *Env) error {
	if len(f.caPins) > 0 {
		return failure.New(failure.Usage, "--ca-pin has no meaning here: the service is known by its https certificate").
			Hint("leave it out; for a private authority set %s to its PEM file", envCAFile)
	}
	for _, other := range []string{f.proxy, f.auth} {
		if other == "" {
			continue
		}
		if f.server != "" && f.server != other {
			return failure.New(failure.Usage, "--server, --proxy-server and --auth-server name different services").Hint("give one of them")
		}
		f.server = other
	}
	for _, other := range []time.Duration{f.certificateTTL, f.credentialTTL} {
		if other == 0 {
			continue
		}
		if f.ttl != 0 && f.ttl != other {
			return failure.New(failure.Usage, "--ttl, --credential-ttl and --certificate-ttl differ").Hint("give one of them")
		}
		f.ttl = other
	}
	if f.storage != "" && !strings.HasPrefix(f.storage, "memory:") {
		env.warn("--storage is ignored: gatepass keeps nothing between joins")
	}
	if f.renewalInterval != 0 {
		env.warn("--renewal-interval is ignored: with --oneshot nothing is renewed")
	}
	return nil
}

func needOneshot(how string) error {
	return failure.New(failure.Usage, "renewal is not available in this version").
		Hint("add %s to join once and end", how)
}

func newStart(env *Env) *cobra.Command {
	var flags startFlags
	var file string
	start := &cobra.Command{
		Use:     "start {identity | -c FILE}",
		Short:   "Join as tbot does, with its flags or its configuration file",
		Example: startExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noOutput(args[0])
			}
			return nil
		},
	}
	flags.bind(start.Flags())
	start.Flags().StringVarP(&file, "config", "c", "", "tbot configuration file, version v2")
	start.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return failure.New(failure.Usage, "neither an output type nor a configuration file is given").
				Hint("use `gatepass start identity --destination=DIR …` or `gatepass start -c tbot.yaml`")
		}
		if err := flags.settle(env); err != nil {
			return err
		}
		return flags.runFile(cmd, env, file)
	}
	for _, out := range outputCommands() {
		start.AddCommand(newStartOutput(env, out))
	}
	return start
}

func newStartOutput(env *Env, out outputCommand) *cobra.Command {
	var flags startFlags
	var destination string
	cmd := &cobra.Command{
		Use:     out.name,
		Aliases: out.aliases,
		Short:   "Join for " + out.short,
		Example: startExample,
		Args:    noArgs,
	}
	flags.bind(cmd.Flags())
	cmd.Flags().StringVar(&destination, "destination", "", "directory for the credentials, a path or file:// URI")
	build := out.bind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.settle(env); err != nil {
			return err
		}
		if !flags.oneshot {
			return needOneshot("--oneshot")
		}
		path, err := destinationPath(destination)
		if err != nil {
			return err
		}
		made, err := build(path, nil)
		if err != nil {
			return err
		}
		return flags.run(cmd.Context(), env, []output.Output{made})
	}
	return cmd
}

// runFile joins as a tbot configuration file says. Flags win over the file,
// and the file over the environment.
func (f *startFlags) runFile(cmd *cobra.Command, env *Env, name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return failure.New(failure.Usage, "reading the configuration: %w", err).Hint("check the path given to -c; see `gatepass start --help` for an example")
	}
	config, err := tbot.Parse(name, raw, supported)
	if err != nil {
		return err
	}
	for _, warning := range config.Warnings {
		env.warn(name + ": " + warning)
	}
	if !config.Oneshot && !f.oneshot {
		return needOneshot("`oneshot: true` to " + name + " or --oneshot")
	}
	for flag, value := range map[*string]string{&f.server: config.Server, &f.token: config.Token, &f.method: config.JoinMethod} {
		if *flag == "" {
			*flag = value
		}
	}
	if f.ttl == 0 {
		f.ttl = config.TTL
	}
	var outputs []output.Output
	for _, wanted := range config.Outputs {
		made, err := makeOutput(wanted)
		if err != nil {
			return err
		}
		outputs = append(outputs, made)
	}
	return f.run(cmd.Context(), env, outputs)
}

// makeOutput makes an output of a file with the defaults of its flags.
func makeOutput(wanted tbot.Output) (output.Output, error) {
	for _, out := range outputCommands() {
		if out.name == wanted.Type {
			return out.bind(pflag.NewFlagSet(out.name, pflag.ContinueOnError))(wanted.Path, wanted.Roles)
		}
	}
	return nil, noOutput(wanted.Type)
}

// destinationPath reads --destination: a path, or a URI as tbot has it.
func destinationPath(raw string) (string, error) {
	scheme, _, found := strings.Cut(raw, "://")
	switch {
	case raw == "":
		return "", needDestination()
	case !found:
		return raw, nil
	case scheme == "file":
		u, err := url.Parse(raw)
		if err != nil || u.Host != "" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" {
			return "", failure.New(failure.Usage, "--destination %s is not a file URI", failure.Clean(raw)).Hint("write file:///absolute/path, or a plain path")
		}
		return u.Path, nil
	case scheme == "memory":
		return "", failure.New(failure.Usage, "--destination memory:// keeps an identity from every other program").Hint("give a directory, such as --destination=./tbot-user")
	}
	return "", failure.New(failure.Usage, "destinations of kind %s are not supported", failure.Clean(scheme)).Hint("give a directory, such as --destination=./tbot-user")
}
