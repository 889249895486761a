package commands

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/pipe"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/client/ssh"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// checkLogin gets ready for all that follows the join.
func (p *piped) checkLogin(problems *pipe.Problems) {
	d := p.plan.Deploy
	p.flags.login, p.flags.port, p.flags.hostKeys = d.User, d.Port, d.HostKeys
	if problems.Has("") {
		return // what is wrong with them is known already
	}
	wish := p.flags.wish
	err := errors.Join(wish.SetRoles(p.plan.Roles), wish.Set("known-hosts", p.plan.KnownHosts))
	if err == nil {
		p.login, err = p.flags.prepare(p.env)
	}
	if err != nil {
		problems.AddError(pipe.Known, err)
	}
}

// deploy logs in to one host after another. No credential is ever in a file.
func (p *piped) deploy(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	targets := p.plan.Deploy.Hosts
	copies := func() error {
		var sources []string
		for _, c := range p.plan.Deploy.Copies {
			sources = append(sources, c.Source)
		}
		return ssh.CheckUpload(sources, true)
	}
	if err := p.login.join(ctx, p.env, targets, copies); err != nil {
		return interrupted(ctx, err)
	}
	if cert, ok := p.login.config.Certificate(); ok {
		p.log.Info("certificate %s for %s, %s", cert.KeyId, strings.Join(cert.ValidPrincipals, ", "), p.until(time.Unix(int64(cert.ValidBefore), 0)))
	}
	done, first := 0, 0
	var names []string
	for _, target := range targets {
		names = append(names, target.Name())
		if first != 0 && !p.plan.Deploy.KeepGoing || ctx.Err() != nil {
			p.log.Fail("%s: not tried", target.Name())
			continue
		}
		status := p.visit(ctx, target, len(targets) > 1)
		if status == 0 {
			done++
		} else if first == 0 {
			first = status
		}
	}
	if by, ok := context.Cause(ctx).(ssh.Interrupted); ok {
		p.log.Fail("Interrupted; deployed to %d of %d hosts", done, len(targets))
		return cli.Exit(128 + int(by.Signal))
	}
	if first != 0 {
		p.log.Fail("Deployed to %d of %d hosts", done, len(targets))
		return cli.Exit(first)
	}
	p.log.Success("Deployed to %s", strings.Join(names, ", "))
	return nil
}

// visit does what is to be done on one host, and returns an exit status.
func (p *piped) visit(ctx context.Context, target ssh.Target, named bool) int {
	begin := p.env.Now()
	status, err := p.onHost(ctx, target, named)
	took := p.env.Now().Sub(begin).Round(10 * time.Millisecond)
	switch {
	case err != nil:
		f := *cli.Of(err)
		f.Err = fmt.Errorf("%s: %w", target.Name(), f.Err)
		p.log.Failure(&f)
		return int(f.Exit)
	case status != 0:
		p.log.Fail("%s: exit status %d after %s", target.Name(), status, took)
	default:
		p.log.Success("%s: done in %s", target.Name(), took)
	}
	return status
}

func (p *piped) onHost(ctx context.Context, target ssh.Target, named bool) (int, error) {
	conn, err := p.login.config.Dial(ctx, target)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := p.copy(ctx, conn, target); err != nil {
		return 0, err
	}
	d := p.plan.Deploy
	if d.Command == "" {
		return 0, nil
	}
	what := "the command"
	if d.Script != "" {
		what = d.Script
	}
	p.log.Info("%s: running %s", target.Name(), what)
	command := ssh.Command{Line: d.Command, Stdin: strings.NewReader(""), Stdout: cli.Unguarded(p.env.Out), Stderr: cli.Unguarded(p.env.Err)}
	if named {
		printer := &linePrinter{}
		stdout, stderr := printer.to(command.Stdout, target.Name()), printer.to(command.Stderr, target.Name())
		defer stdout.flush()
		defer stderr.flush()
		command.Stdout, command.Stderr = stdout, stderr
	}
	return conn.Run(ctx, command)
}

// copy puts files and the contents of folders where they are to be. Folders on the way
// are made, nothing is removed: the same deployment again comes to the same.
func (p *piped) copy(ctx context.Context, conn *ssh.Conn, target ssh.Target) error {
	if len(p.plan.Deploy.Copies) == 0 {
		return nil
	}
	copier := &ssh.Copier{Recursive: true}
	_, err := conn.Transfer(ctx, copier, func() (total ssh.Total, err error) {
		for _, c := range p.plan.Deploy.Copies {
			source, folder := c.Source, path.Dir(c.To)
			if c.Folder {
				source += "/." // its contents, whether or not the folder is there already
			}
			if c.Folder || strings.HasSuffix(c.To, "/") {
				folder = path.Clean(c.To)
			}
			if err := copier.Remote.MkdirAll(folder); err != nil {
				return total, cli.Failed("making the folder %s on the host: %w", words.Clean(folder), err).
					Hint("check that the login may write there")
			}
			before := total
			if total, err = copier.Upload(ctx, []string{source}, c.To); err != nil {
				return total, err
			}
			p.log.Info("%s: copied %s to %s: %d files, %s", target.Name(), c.Name, c.To, total.Files-before.Files, bytesText(total.Bytes-before.Bytes))
		}
		return total, nil
	})
	return err
}

// debug shows what there is to see of the job and the service; never the ID token.
func (p *piped) debug(ctx context.Context) {
	if !p.log.Debug || p.plan.Cleanup != nil {
		return
	}
	p.log.Debugf("gatepass %s, the clone is %s", p.env.Version, p.plan.Clone)
	join, err := p.flags.join(p.env, nil)
	d := client.Doctor{Source: p.flags.source(p.env), ServiceError: err, Now: p.env.Now}
	if err == nil {
		d.Service, d.ServiceError = service.New(join.Service)
	}
	var text strings.Builder
	quiet := *p.env
	quiet.Out = &text
	quiet.printDiagnosis(d.Run(ctx))
	for line := range strings.Lines(text.String()) {
		p.log.Debugf("%s", strings.TrimRight(line, "\n"))
	}
}
