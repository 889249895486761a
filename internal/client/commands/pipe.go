package commands

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/pipe"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func newPipe(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:    "pipe",
		Short:  "Run as the pipe of Bitbucket Pipelines, by variables instead of flags",
		Hidden: true, // it is the entry point of the pipe's image
		Args:   cli.Exactly(),
		RunE:   func(cmd *cobra.Command, _ []string) error { return runPipe(cmd.Context(), *env) },
	}
}

// piped is one run of the pipe.
type piped struct {
	env     *Env
	log     pipe.Log
	plan    *pipe.Plan
	flags   hostFlags
	outputs []*credentials.Output // of Files
	login   *prepared             // of Deploy
}

// runPipe says everything itself; its error is only the exit status.
func runPipe(ctx context.Context, env Env) error {
	// Without a current directory no relative path is in the clone, which Parse says.
	workdir, _ := os.Getwd()
	plan, problems := pipe.Parse(pipe.World{Getenv: env.Getenv, Environ: os.Environ(), Workdir: workdir})
	log := pipe.Log{To: cli.Unguarded(env.Out), Debug: plan.Debug}
	env.log = &log
	p := &piped{env: &env, log: log, plan: plan, flags: hostFlags{
		joinFlags: joinFlags{
			server: plan.Server, token: plan.Token, method: api.MethodBitbucket, audience: plan.Audience,
			caFile: plan.CAFile, ttl: plan.TTL, timeout: time.Minute, retry: true,
		},
		loginFlags:     newLoginFlags(),
		connectTimeout: 15 * time.Second, keepAlive: 15 * time.Second,
	}}
	if plan.Timeout != 0 {
		p.flags.timeout, p.flags.connectTimeout = plan.Timeout, plan.Timeout
	}
	p.check(ctx, problems)
	if problems.Has("") {
		log.Fail("%s", problems)
		return cli.Exit(cli.ExitUsage)
	}
	p.debug(ctx)
	err := p.carryOut(ctx)
	if status, ok := err.(cli.Exit); ok || err == nil {
		if ok {
			return status
		}
		return nil
	}
	log.Failure(err)
	return cli.Exit(cli.Of(err).Exit)
}

func (p *piped) carryOut(ctx context.Context) error {
	switch {
	case p.plan.Cleanup != nil:
		return p.cleanUp(ctx)
	case p.plan.Deploy != nil:
		return p.deploy(ctx)
	}
	return p.write(ctx)
}

// check looks for everything else that can be wrong before the service is asked.
func (p *piped) check(ctx context.Context, problems *pipe.Problems) {
	if p.plan.Cleanup != nil {
		return
	}
	if p.env.Getenv(pipe.IDToken) == "" {
		oidc := "oidc: true"
		if p.plan.Audience != "" {
			oidc = fmt.Sprintf("oidc: {audiences: [%q]}", p.plan.Audience)
		}
		problems.Add(pipe.IDToken, "required field: write `%s` in this step of bitbucket-pipelines.yml, beside `script:`", oidc)
	} else if _, err := p.flags.source(p.env).Find(); err != nil {
		problems.AddError(pipe.IDToken, err)
	}
	if p.plan.CAFile != "" {
		// Whatever is wrong with the server is known already.
		if _, err := service.New(service.Config{URL: &url.URL{Host: "localhost"}, CAFile: p.plan.CAFile}); err != nil {
			problems.AddError(pipe.CAFile, err)
		}
	}
	if p.plan.Deploy != nil {
		p.checkLogin(problems)
		return
	}
	p.outputs = p.plan.MakeOutputs(problems)
}

// write joins, and leaves credentials and the script.
func (p *piped) write(ctx context.Context) error {
	files := p.plan.Files
	config := destination.Config{Path: files.Destination, Names: []string{pipe.Activate}, Within: p.plan.Clone}
	if files.Owner != "" {
		owner, err := destination.ParseOwner(files.Owner)
		if err != nil {
			return err
		}
		config.Access.Owner = owner
	}
	dir, err := destination.Open(ctx, config)
	if err != nil {
		return err
	}
	defer dir.Close()
	join, err := p.flags.join(p.env, p.outputs)
	if err != nil {
		return err
	}
	join.Within = p.plan.Clone
	report, err := join.Run(ctx)
	if err != nil {
		return err
	}
	if err := dir.Replace(ctx, []destination.File{{Name: pipe.Activate, Data: pipe.Activation(report)}}); err != nil {
		return err
	}
	p.report(report)
	return nil
}

// report says what there is now, and what to write next.
func (p *piped) report(report *client.Report) {
	for _, warning := range report.Warnings {
		p.log.Warning("%s", warning)
	}
	p.log.Info("join %s: bot %s, %s", report.JoinID, report.Bot, p.until(report.ExpiresAt))
	if report.TTLLimitedBy != "" {
		p.log.Info("the lifetime is limited by %s", limitText(report.TTLLimitedBy))
	}
	for _, out := range report.Outputs {
		whose := out.Subject
		if len(out.Principals) > 0 {
			whose = strings.Join(out.Principals, ", ")
		}
		p.log.Info("%s for %s: %s", out.Type, whose, out.Destination)
	}
	p.log.Success("Credentials are there. In the lines of the script that follow: . %s", words.ShellWord(filepath.Join(p.plan.Files.Destination, pipe.Activate)))
}

func (p *piped) until(end time.Time) string {
	return fmt.Sprintf("until %s, in %s", end.UTC().Format("2006-01-02 15:04:05 MST"), end.Sub(p.env.Now()).Round(time.Second))
}

// cleanUp removes what an earlier pipe left: each output's folder, then the one around them.
func (p *piped) cleanUp(ctx context.Context) error {
	path := p.plan.Cleanup.Destination
	entries, err := os.ReadDir(path)
	if err != nil && !os.IsNotExist(err) {
		return cli.Failed("looking for credentials: %w", err)
	}
	files := 0
	var left []string
	remove := func(dir string) error {
		removed, err := destination.Remove(ctx, dir)
		files += len(removed.Files)
		for _, name := range removed.Foreign {
			left = append(left, filepath.Join(dir, name))
		}
		return err
	}
	for _, entry := range entries {
		// An output's folder is never a link: that would be a stranger's, to anywhere.
		if dir := filepath.Join(path, entry.Name()); entry.IsDir() && destination.Is(os.DirFS(path), entry.Name()) {
			if err := remove(dir); err != nil {
				return err
			}
		}
	}
	if err := remove(path); err != nil {
		return err
	}
	if len(left) > 0 {
		p.log.Warning("left what gatepass did not write: %s", strings.Join(left, ", "))
	}
	if files == 0 {
		p.log.Success("There are no credentials in %s", path)
		return nil
	}
	p.log.Success("Removed the credentials in %s, %d files", path, files)
	return nil
}
