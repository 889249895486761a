package commands

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/agent"
	"github.com/gatepass-ci/gatepass/internal/client/ssh"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// hostFlags are the flags of the commands that log in themselves.
type hostFlags struct {
	joinFlags
	loginFlags
	login          string
	port           uint16
	jumps          []string
	hostKeys       []string
	insecure       bool
	connectTimeout time.Duration
	keepAlive      time.Duration
}

func (f *hostFlags) bind(fs *pflag.FlagSet, portLetter string) {
	f.bindService(fs)
	f.loginFlags = newLoginFlags()
	f.loginFlags.bind(fs, "roles", "known-hosts")
	fs.StringVarP(&f.login, "login", "l", "", "login on the hosts that name none (default: the certificate's, if it has one)")
	fs.Uint16VarP(&f.port, "port", portLetter, ssh.DefaultPort, "port of the hosts that name none")
	fs.StringSliceVarP(&f.jumps, "jump", "J", nil, "go through [user@]host[:port]; several are passed in turn")
	fs.StringArrayVar(&f.hostKeys, "host-key", nil, "the host's public key or its SHA256 fingerprint, and no other will do; repeatable")
	fs.BoolVar(&f.insecure, "insecure-ignore-host-key", false, "log in to whoever answers: for throw-away hosts only")
	fs.DurationVar(&f.connectTimeout, "connect-timeout", 15*time.Second, "how long to try to log in at a host")
	fs.DurationVar(&f.keepAlive, "keepalive", 15*time.Second, "ask a silent host this often whether it is there; 0 never")
}

// prepared is what is known before the join: everything that can be wrong on
// the command line.
type prepared struct {
	flags  *hostFlags
	config ssh.Config
}

func (f *hostFlags) prepare(env *Env) (*prepared, error) {
	if err := agent.Conceal(); err != nil {
		return nil, err
	}
	p := &prepared{flags: f, config: ssh.Config{
		Timeout: f.connectTimeout, KeepAlive: f.keepAlive, Version: plainVersion(env.Version),
		HostKeys: ssh.HostKeys{InsecureIgnore: f.insecure, Now: env.Now},
	}}
	if f.connectTimeout <= 0 || f.keepAlive < 0 || f.port == 0 {
		return nil, cli.Misused("--connect-timeout, --keepalive or --port is out of range").
			Hint("write them like --connect-timeout=15s --keepalive=15s --port=22")
	}
	for _, text := range f.hostKeys {
		pin, err := ssh.ParsePin(text)
		if err != nil {
			return nil, err
		}
		p.config.HostKeys.Pins = append(p.config.HostKeys.Pins, pin)
	}
	for _, text := range f.jumps {
		jump, err := ssh.ParseTarget(text)
		if err != nil {
			return nil, err
		}
		p.config.Jumps = append(p.config.Jumps, jump)
	}
	if known := f.wish.Text("known-hosts"); known != "" {
		check, err := ssh.ReadKnownHosts(known)
		if err != nil {
			return nil, err
		}
		p.config.HostKeys.KnownHosts = check
	}
	if f.insecure {
		env.warn("--insecure-ignore-host-key: whoever answers is taken for the host")
	}
	return p, nil
}

// join gets the certificate, and with it all that was left open in the targets. needs are
// those of client.Join.
func (p *prepared) join(ctx context.Context, env *Env, targets []ssh.Target, needs ...func() error) error {
	held, err := p.flags.hold(ctx, env, &p.flags.joinFlags, needs...)
	if err != nil {
		return err
	}
	granted := held.Results[0].Login
	p.config.Signer, err = identity(held.Results[0]).Signer()
	if err != nil {
		return err
	}
	p.config.HostKeys.Authorities = granted.HostAuthorities
	user := p.flags.login
	if user == "" {
		user = onlyLogin(granted.Certificate.ValidPrincipals)
	}
	for _, all := range [][]ssh.Target{targets, p.config.Jumps} {
		for i := range all {
			all[i] = all[i].Or(user, int(p.flags.port))
			if all[i].User == "" {
				return cli.Misused("no login is given for %s, and the certificate has several: %s", all[i].Name(),
					words.Clean(strings.Join(granted.Certificate.ValidPrincipals, ", "))).Hint("write login@%s, or give --login", all[i].Name())
			}
		}
	}
	return nil
}

// plainVersion is fit for SSH's greeting (RFC 4253, section 4.2).
func plainVersion(version string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '-' {
			return r
		}
		return '_'
	}, version)
}

// interruptible ends the context at a signal, which becomes its cause.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	caught := make(chan os.Signal, 4)
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	go func() {
		select {
		case sig := <-caught:
			number, _ := sig.(syscall.Signal)
			cancel(ssh.Interrupted{Signal: number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(caught)
		cancel(nil)
	}
}

// interrupted is the status to end with when a signal broke something off, or err.
func interrupted(ctx context.Context, err error) error {
	if by, ok := context.Cause(ctx).(ssh.Interrupted); ok && err != nil {
		return cli.Exit(128 + int(by.Signal))
	}
	return err
}

// onlyLogin returns the login that all principals are about, on whatever hosts; "" if
// there are several.
func onlyLogin(principals []string) string {
	var logins []string
	for _, p := range principals {
		logins = append(logins, api.Login(p))
	}
	slices.Sort(logins)
	if logins = slices.Compact(logins); len(logins) == 1 {
		return logins[0]
	}
	return ""
}
