package commands

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
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
	proxy, auth    string
	certificateTTL time.Duration
	credentialTTL  time.Duration
	oneshot        bool
	storage        string
	caPins         []string
}

func (f *startFlags) bind(fs, own *pflag.FlagSet) {
	f.joinFlags.bind(fs, own)
	fs.StringVar(&f.proxy, "proxy-server", "", "tbot's name for --server")
	fs.StringVarP(&f.auth, "auth-server", "a", "", "tbot's name for --server")
	fs.DurationVar(&f.certificateTTL, "certificate-ttl", 0, "tbot's name for --ttl")
	fs.DurationVar(&f.credentialTTL, "credential-ttl", 0, "tbot's name for --ttl")
	fs.BoolVar(&f.oneshot, "oneshot", false, "join once and end")
	fs.StringVar(&f.storage, "storage", "", "accepted for tbot's sake; nothing is stored between joins")
	fs.StringArrayVar(&f.caPins, "ca-pin", nil, "refused: the service is known by its https certificate")
	fs.DurationVar(&f.interval, "renewal-interval", 0, "without --oneshot, how often to join anew (default: half of the lifetime)")
}

// settle brings tbot's names together with ours.
func (f *startFlags) settle(env *Env) error {
	if len(f.caPins) > 0 {
		return cli.Misused("--ca-pin has no meaning here: the service is known by its https certificate").
			Hint("leave it out; for a private authority set %s to its PEM file", envCAFile)
	}
	for _, other := range []string{f.proxy, f.auth} {
		if other == "" {
			continue
		}
		if f.server != "" && f.server != other {
			return cli.Misused("--server, --proxy-server and --auth-server name different services").Hint("give one of them")
		}
		f.server = other
	}
	for _, other := range []time.Duration{f.certificateTTL, f.credentialTTL} {
		if other == 0 {
			continue
		}
		if f.ttl != 0 && f.ttl != other {
			return cli.Misused("--ttl, --credential-ttl and --certificate-ttl differ").Hint("give one of them")
		}
		f.ttl = other
	}
	if f.storage != "" && !strings.HasPrefix(f.storage, "memory:") {
		env.warn("--storage is ignored: gatepass keeps nothing between joins")
	}
	f.renew = !f.oneshot
	switch {
	case f.interval == 0:
	case f.oneshot:
		env.warn("--renewal-interval is ignored: with --oneshot nothing is renewed")
	case f.interval < time.Second || f.ttl != 0 && f.interval >= f.ttl:
		return cli.Misused("--renewal-interval %s is not between 1s and the lifetime", f.interval).
			Hint("make it half of --ttl, or leave it out")
	}
	return nil
}

func newStart(env *Env) *cobra.Command {
	flags := startFlags{joinFlags: joinFlags{format: &env.Format}}
	var file string
	start := &cobra.Command{
		Use:     "start {TYPE | -c FILE}",
		Short:   "Join as tbot does, with its flags or its configuration file",
		Example: startExample,
		Args:    knownKind,
	}
	flags.bind(start.Flags(), nil)
	start.Flags().StringVarP(&file, "config", "c", "", "tbot configuration file, version v2")
	start.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return cli.Misused("neither an output type nor a configuration file is given").
				Hint("use `gatepass start identity --destination=DIR …` or `gatepass start -c tbot.yaml`")
		}
		if err := flags.settle(env); err != nil {
			return err
		}
		return flags.runFile(cmd.Context(), env, file)
	}
	for _, kind := range credentials.Kinds() {
		start.AddCommand(newStartOutput(env, kind))
	}
	return start
}

func newStartOutput(env *Env, kind credentials.Kind) *cobra.Command {
	flags := startFlags{joinFlags: joinFlags{format: &env.Format}}
	cmd, w := outputCommand(kind, "Join for", startExample, flags.bind)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.settle(env); err != nil {
			return err
		}
		made, err := w.Output()
		if err != nil {
			return err
		}
		return flags.run(cmd.Context(), env, []*credentials.Output{made})
	}
	return cmd
}

// runFile joins as a tbot configuration file says. Flags win over the file,
// and the file over the environment.
func (f *startFlags) runFile(ctx context.Context, env *Env, name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return cli.Misused("reading the configuration: %w", err).Hint("check the path given to -c; see `gatepass start --help` for an example")
	}
	config, err := tbot.Parse(name, raw)
	if err != nil {
		return err
	}
	for _, warning := range config.Warnings {
		env.warn(name + ": " + warning)
	}
	f.renew = !config.Oneshot && !f.oneshot
	for flag, value := range map[*string]string{
		&f.server: config.Server, &f.token: config.Token, &f.method: config.JoinMethod,
		&f.audience: config.Audience, &f.idTokenFile: config.IDTokenFile,
	} {
		if *flag == "" {
			*flag = value
		}
	}
	for flag, value := range map[*time.Duration]time.Duration{&f.ttl: config.TTL, &f.interval: config.Renewal} {
		if *flag == 0 {
			*flag = value
		}
	}
	outputs, err := makeOutputs(config.Outputs)
	if err != nil {
		return err
	}
	return f.run(ctx, env, outputs)
}
