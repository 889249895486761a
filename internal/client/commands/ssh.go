package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/ssh"
	"github.com/gatepass-ci/gatepass/internal/words"
)

const sshExample = `  gatepass ssh deploy@host.example.com -- systemctl --user restart shop
  gatepass ssh -J deploy@bastion.example.com deploy@10.0.0.7 -- ./deploy.sh < release.tar
  gatepass ssh --parallel 4 web-1 web-2 web-3 -- ./deploy.sh`

type sshFlags struct {
	hostFlags
	parallel  int
	keepGoing bool
	pty       bool
}

func newSSH(env *Env) *cobra.Command {
	var flags sshFlags
	cmd := &cobra.Command{
		Use:     "ssh [flags] [user@]host[:port]… -- COMMAND…",
		Short:   "Run a command on hosts; nothing touches the disk, and no OpenSSH is needed",
		Example: sshExample,
	}
	fs := cmd.Flags()
	flags.bind(fs, "p")
	fs.IntVar(&flags.parallel, "parallel", 1, "run on this many hosts at a time")
	fs.BoolVar(&flags.keepGoing, "keep-going", false, "start on further hosts after one has failed")
	fs.BoolVarP(&flags.pty, "tty", "t", false, "give the command a terminal; the role needs permit_pty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dash := fs.ArgsLenAtDash()
		if dash < 0 {
			dash = len(args)
		}
		return flags.ssh(cmd.Context(), env, args[:dash], strings.Join(args[dash:], " "))
	}
	return cmd
}

// check refuses what does not go together.
func (f *sshFlags) check(hosts []string, line string) error {
	switch {
	case len(hosts) == 0:
		return cli.Misused("no host is given").Hint("write: gatepass ssh [user@]host -- COMMAND")
	case len(hosts) > 1 && line == "":
		return cli.Misused("several hosts are given and no command").Hint("write -- before the command: gatepass ssh HOST… -- COMMAND")
	case len(hosts) > 1 && f.pty:
		return cli.Misused("--tty is for one host").Hint("leave it out, or name one host")
	case f.parallel < 1:
		return cli.Misused("--parallel=%d runs nothing", f.parallel).Hint("write how many hosts at a time, such as --parallel=4")
	}
	return nil
}

func (f *sshFlags) ssh(ctx context.Context, env *Env, hosts []string, line string) error {
	if err := f.check(hosts, line); err != nil {
		return err
	}
	targets := make([]ssh.Target, len(hosts))
	for i, host := range hosts {
		var err error
		if targets[i], err = ssh.ParseTarget(host); err != nil {
			return err
		}
	}
	p, err := f.prepare(env)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	if err := p.join(ctx, env, targets); err != nil {
		return interrupted(ctx, err)
	}
	if len(targets) > 1 {
		return f.many(ctx, env, p.config, targets, line)
	}
	command := ssh.Command{Line: line, Stdin: env.In, Stdout: cli.Unguarded(env.Out), Stderr: cli.Unguarded(env.Err)}
	if f.pty {
		restore, err := terminal(env, &command)
		if err != nil {
			return err
		}
		defer restore()
	}
	status, err := runOn(ctx, p.config, targets[0], command)
	switch {
	case err != nil:
		return interrupted(ctx, err)
	case status != 0:
		return cli.Exit(status)
	}
	return nil
}

func runOn(ctx context.Context, config ssh.Config, target ssh.Target, command ssh.Command) (int, error) {
	conn, err := config.Dial(ctx, target)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.Run(ctx, command)
}

// many runs the command on one host after another, or on some at a time. What the
// hosts print has their names before each line; what came of each is one line at the end.
func (f *sshFlags) many(ctx context.Context, env *Env, config ssh.Config, targets []ssh.Target, line string) error {
	var (
		wg      sync.WaitGroup
		printer = &linePrinter{}
		slots   = make(chan struct{}, f.parallel)
		results = make([]*hostResult, len(targets))
		failed  = make(chan struct{})
		once    sync.Once
	)
	for i, target := range targets {
		slots <- struct{}{}
		if stopped(ctx, failed, f.keepGoing) {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			stdout, stderr := printer.to(cli.Unguarded(env.Out), target.Name()), printer.to(cli.Unguarded(env.Err), target.Name())
			begin := env.Now()
			// Each needs a stdin of its own, so all have none.
			status, err := runOn(ctx, config, target, ssh.Command{Line: line, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr})
			stdout.flush()
			stderr.flush()
			if err != nil || status != 0 {
				once.Do(func() { close(failed) })
			}
			results[i] = &hostResult{status: status, err: err, took: env.Now().Sub(begin)}
		})
	}
	wg.Wait()
	return env.summary(ctx, targets, results)
}

// stopped reports whether no further host is to be started.
func stopped(ctx context.Context, failed <-chan struct{}, keepGoing bool) bool {
	select {
	case <-ctx.Done():
		return true
	case <-failed:
		return !keepGoing
	default:
		return false
	}
}

// hostResult is how it went on one host.
type hostResult struct {
	status int
	err    error
	took   time.Duration
}

// summary says what came of each host. The exit status is that of the first one,
// in the order of the command line, where it was not 0.
func (env *Env) summary(ctx context.Context, targets []ssh.Target, results []*hostResult) error {
	first := 0
	for i, result := range results {
		said := "not tried"
		status := 0
		if result != nil {
			status = result.status
			took := result.took.Round(10 * time.Millisecond)
			switch {
			case result.err != nil:
				f := cli.Of(cli.Brief(result.err))
				status = int(f.Exit)
				said = "failed: " + words.OneLine(strings.Join(append([]string{f.Error()}, f.Hints...), "; "))
			case status != 0:
				said = fmt.Sprintf("exit status %d after %s", status, took)
			default:
				said = fmt.Sprintf("done in %s", took)
			}
		}
		fmt.Fprintf(env.Err, "gatepass: %s: %s\n", targets[i].Name(), said)
		if first == 0 {
			first = status
		}
	}
	if by, ok := context.Cause(ctx).(ssh.Interrupted); ok {
		return cli.Exit(128 + int(by.Signal))
	}
	if first != 0 {
		return cli.Exit(first)
	}
	return nil
}

// linePrinter keeps the lines of several hosts whole.
type linePrinter struct{ mu sync.Mutex }

// maxLine bounds how much of a line without end is kept.
const maxLine = 64 << 10

// prefixed is a writer that puts a host's name before each line.
type prefixed struct {
	printer *linePrinter
	to      io.Writer
	prefix  string
	line    []byte
}

func (p *linePrinter) to(w io.Writer, name string) *prefixed {
	return &prefixed{printer: p, to: w, prefix: name + ": "}
}

// Write implements io.Writer.
func (p *prefixed) Write(data []byte) (int, error) {
	for _, b := range data {
		p.line = append(p.line, b)
		if b == '\n' || len(p.line) >= maxLine {
			if err := p.print(); err != nil {
				return 0, err
			}
		}
	}
	return len(data), nil
}

func (p *prefixed) print() error {
	if n := len(p.line); p.line[n-1] != '\n' {
		p.line = append(p.line, '\n')
	}
	p.printer.mu.Lock()
	defer p.printer.mu.Unlock()
	_, err := fmt.Fprintf(p.to, "%s%s", p.prefix, p.line)
	p.line = p.line[:0]
	return err
}

// flush prints a last line that has no end.
func (p *prefixed) flush() {
	if len(p.line) > 0 {
		_ = p.print()
	}
}

// terminal lets the command have ours. What it returns puts ours back.
func terminal(env *Env, command *ssh.Command) (func(), error) {
	file, ok := env.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		// A command that wants a terminal can have one though nobody sits at it.
		command.PTY = &ssh.PTY{Term: "dumb", Width: 80, Height: 24}
		return func() {}, nil
	}
	fd := int(file.Fd())
	width, height, err := term.GetSize(fd)
	if err != nil {
		width, height = 80, 24
	}
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, errors.Join(errors.New("setting up the terminal"), err)
	}
	resized := make(chan [2]int, 1)
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	go func() {
		for range changes {
			if w, h, err := term.GetSize(fd); err == nil {
				resized <- [2]int{w, h}
			}
		}
	}()
	command.PTY = &ssh.PTY{Term: env.Getenv("TERM"), Width: width, Height: height, Resized: resized}
	return func() {
		signal.Stop(changes)
		_ = term.Restore(fd, state)
	}, nil
}
