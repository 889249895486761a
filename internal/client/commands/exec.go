package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/agent"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/internal/words"
)

const execExample = `  gatepass exec --server https://join.example.com --token example-bot -- git push deploy@host.example.com:shop main
  gatepass exec -- sh -c 'scp -F "$GATEPASS_SSH_CONFIG" app.tar deploy@host.example.com:'
  gatepass exec --ssh-add     # into the agent that runs already, until the certificate ends`

// execFlags are those of exec.
type execFlags struct {
	joinFlags
	loginFlags
	also        []string
	ssh         bool
	sshAdd      bool
	keepIDToken bool
}

func newExec(env *Env) *cobra.Command {
	flags := execFlags{loginFlags: newLoginFlags()}
	cmd := &cobra.Command{
		Use:     "exec [flags] -- COMMAND…",
		Short:   "Run a command with credentials that are gone when it ends",
		Example: execExample,
	}
	fs := cmd.Flags()
	flags.bindService(fs)
	flags.loginFlags.bind(fs, "roles", "known-hosts", "ssh-hosts")
	fs.StringArrayVar(&flags.also, "also", nil, "credentials besides those for SSH: TYPE,FLAG=VALUE,… as `gatepass join TYPE` has the flags; repeatable")
	fs.BoolVar(&flags.ssh, "ssh", true, "have a key and certificate for SSH; a bot without logins needs --ssh=false")
	fs.BoolVar(&flags.sshAdd, "ssh-add", false, "add the key and certificate to the running ssh-agent instead, until the certificate ends")
	fs.BoolVar(&flags.keepIDToken, "keep-id-token", false, "leave the CI system's ID token in the command's environment")
	fs.SetInterspersed(false)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := flags.unused(fs.Changed); err != nil {
			return err
		}
		switch {
		case flags.sshAdd && len(args) > 0:
			return cli.Misused("--ssh-add runs no command, and %q is given", words.Clean(args[0])).
				Hint("leave out one of them")
		case flags.sshAdd:
			return flags.add(cmd.Context(), env)
		case len(args) == 0:
			return cli.Misused("no command is given").Hint("write it after --, such as: gatepass exec -- ssh-add -l")
		}
		return flags.exec(cmd.Context(), env, args)
	}
	return cmd
}

// unused refuses flags that would do nothing.
func (f *execFlags) unused(given func(string) bool) error {
	var with string
	var names []string
	switch {
	case f.sshAdd:
		with, names = "--ssh-add", []string{"also", "ssh", "ssh-hosts", "known-hosts", "keep-id-token"}
	case !f.ssh:
		with, names = "--ssh=false", []string{"roles", "ssh-hosts", "known-hosts"}
	}
	for _, name := range names {
		if given(name) {
			return cli.Misused("--%s has no meaning with %s", name, with).
				Hint("leave out one of them; what other credentials are to be stands in their --also")
		}
	}
	return nil
}

// newJanitor is what exec starts beside the command; it is no business of users.
func newJanitor(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     agent.JanitorCommand + " DIR",
		Short:   "Remove the private folder of an exec when it ends",
		Example: "  gatepass " + agent.JanitorCommand + " DIR",
		Hidden:  true,
		Args:    oneDirectory,
		RunE:    func(_ *cobra.Command, args []string) error { return agent.Sweep(env.In, args[0]) },
	}
}

// exec runs the command. From the first line on no signal ends this process
// before it has cleaned up.
func (f *execFlags) exec(ctx context.Context, env *Env, args []string) error {
	ctx, signals := agent.CatchSignals(ctx)
	defer signals.Stop()
	place, err := agent.NewPlace(env.Getenv)
	if err != nil {
		return cli.Failed("making a private folder: %w", err).
			Hint("set XDG_RUNTIME_DIR or TMPDIR to a directory that this user can write to")
	}
	defer func() {
		if left := place.Close(); left != nil {
			env.warn("cleaning up: " + left.Error())
		}
	}()

	outputs, err := f.outputs(place)
	if err != nil {
		return err
	}
	join, err := f.join(env, outputs)
	if err != nil {
		return err
	}
	child := agent.Child{Args: args, Stdin: env.In, Stdout: cli.Unguarded(env.Out), Stderr: cli.Unguarded(env.Err)}
	join.Needs = []func() error{child.Check, func() error { return f.probe(place, outputs) }}
	held, err := join.Hold(ctx)
	if status := signals.Early(); status != 0 {
		return cli.Exit(status)
	}
	if err != nil {
		return err
	}
	env.warnAll(held.Report.Warnings)
	environ, err := f.prepare(env, place, join, held)
	if err != nil {
		return err
	}
	child.Env = environ.List()
	status, err := child.Run(signals)
	switch {
	case errors.Is(err, agent.ErrInterrupted):
		return cli.Exit(signals.Early())
	case err != nil:
		return err
	case status != 0:
		return cli.Exit(status)
	}
	return nil
}

// outputs are what to ask for, each with a directory of its own in the private folder.
func (f *execFlags) outputs(place *agent.Place) ([]*credentials.Output, error) {
	var outputs []*credentials.Output
	if f.ssh {
		login, err := f.login(path.Join(place.Path(), credentials.TypeLogin))
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, login)
	}
	for i, spec := range f.also {
		w, err := parseAlso(spec)
		if err != nil {
			return nil, err
		}
		for _, flag := range []string{"destination", "owner", "reader-user", "reader-group", "acls", "exec-plugin"} {
			if w.Given(flag) {
				return nil, cli.Misused("--also: %s has no meaning for exec, whose files are gone with the command", flag).Hint("leave it out")
			}
		}
		if err := w.Set("destination", path.Join(place.Path(), fmt.Sprintf("%s-%d", w.Kind.Name, i+1))); err != nil {
			return nil, err
		}
		made, err := w.Output()
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, made)
	}
	if len(outputs) == 0 {
		return nil, cli.Misused("--ssh=false leaves no credentials to run the command with").Hint("give --also, such as --also database,username=app")
	}
	return outputs, nil
}

// probe finds out whether the private folder takes the files and the agent's socket.
func (f *execFlags) probe(place *agent.Place, outputs []*credentials.Output) error {
	size := 0
	for _, out := range outputs {
		size += out.Size()
	}
	if err := place.Probe(size); err != nil {
		return noRoom(place, err)
	}
	return nil
}

func noRoom(place *agent.Place, err error) error {
	return cli.Failed("writing into the private folder: %w", err).Hint("see how much room there is with: df %s", place.Path())
}

// prepare puts what was granted where the command finds it.
func (f *execFlags) prepare(env *Env, place *agent.Place, join client.Join, held *client.Held) (*credentials.Environ, error) {
	environ := credentials.NewEnviron(os.Environ())
	if !f.keepIDToken {
		environ.Unset(source.Variables()...)
	}
	environ.SetJoin(held.Report.JoinID, held.Report.Bot, held.Report.ExpiresAt)
	for i, out := range join.Outputs {
		dir, result := out.Place.Path, held.Results[i]
		if err := place.Write(dir, result.Files); err != nil {
			return nil, noRoom(place, err)
		}
		environ.SetOutput(out.Kind, dir, result.Variables)
		if out.Kind == credentials.TypeLogin {
			if err := place.Serve(identity(result), env.Now); err != nil {
				return nil, cli.Failed("starting the ssh-agent: %w", err).Hint("set XDG_RUNTIME_DIR or TMPDIR to a directory with a short path")
			}
			environ.SetSSH(dir, place.Socket())
		}
	}
	return environ, nil
}

// identity is a login as an agent has it.
func identity(result *credentials.Result) agent.Identity {
	login := result.Login
	return agent.Identity{
		Key:         login.Key,
		Certificate: login.Certificate,
		Comment:     words.Clean(login.Certificate.KeyId),
		Expires:     result.Expires,
	}
}

// add hands the login to the agent that runs already.
func (f *execFlags) add(ctx context.Context, env *Env) error {
	if err := agent.Conceal(); err != nil {
		return err
	}
	socket := env.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return cli.Failed("no ssh-agent runs here: SSH_AUTH_SOCK is not set").
			Hint("start one with: eval \"$(ssh-agent)\", or use: gatepass exec -- COMMAND")
	}
	answers := func() error {
		if err := agent.Probe(socket); err != nil {
			return cli.Failed("the ssh-agent of SSH_AUTH_SOCK does not answer: %w", err).
				Hint("start one with: eval \"$(ssh-agent)\", or use: gatepass exec -- COMMAND")
		}
		return nil
	}
	held, err := f.hold(ctx, env, &f.joinFlags, answers)
	if err != nil {
		return err
	}
	id := identity(held.Results[0])
	if err := agent.AddTo(socket, id, env.Now()); err != nil {
		return cli.Failed("adding to the ssh-agent: %w", err).
			Hint("the agent must accept ECDSA keys with a certificate and a lifetime, as OpenSSH's does")
	}
	line := func(label, value string) { fmt.Fprintf(env.Out, "%-12s %s\n", label, value) }
	line("join", held.Report.JoinID)
	line("bot", held.Report.Bot)
	line("principals", words.Clean(strings.Join(id.Certificate.ValidPrincipals, ", ")))
	line("expires", fmt.Sprintf("%s, in %s", id.Expires.Local().Format("2006-01-02 15:04:05 MST"), id.Expires.Sub(env.Now()).Round(time.Second)))
	line("added to", socket)
	return nil
}

func (env *Env) warnAll(warnings []string) {
	for _, warning := range warnings {
		env.warn(warning)
	}
}
