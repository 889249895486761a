package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/agent"
	"github.com/gatepass-ci/gatepass/internal/client/command"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/pipe"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func newPipe(env *Env) *command.Command {
	return &command.Command{
		Use:    "pipe",
		Short:  "Run as the pipe of Bitbucket Pipelines, by variables instead of flags",
		Hidden: true, // it is the entry point of the pipe's image
		Args:   noArgs,
		Run:    func(ctx context.Context, _ []string) error { return runPipe(ctx, *env) },
	}
}

// piped is one run of the pipe.
type piped struct {
	env     *Env
	log     pipe.Log
	plan    *pipe.Plan
	workdir string // the script's current directory
	flags   hostFlags
	outputs []credentials.Output // of Files
	login   *prepared            // of Deploy
}

// runPipe says everything itself; its error is only the exit status.
func runPipe(ctx context.Context, env Env) error {
	// Without a current directory no relative path is in the clone, which Parse says.
	workdir, _ := os.Getwd()
	plan, problems := pipe.Parse(pipe.World{Getenv: env.Getenv, Environ: os.Environ(), Workdir: workdir})
	log := pipe.Log{To: env.Stdout, Debug: plan.Debug}
	env.log = &log
	p := &piped{env: &env, log: log, plan: plan, workdir: workdir, flags: hostFlags{
		joinFlags: joinFlags{
			server: plan.Server, token: plan.Token, method: api.MethodBitbucket, audience: plan.Audience,
			caFile: plan.CAFile, ttl: plan.TTL, timeout: time.Minute, retry: true,
		},
		loginFlags:     loginFlags{roles: plan.Roles, knownHosts: plan.KnownHosts},
		connectTimeout: 15 * time.Second, keepAlive: 15 * time.Second,
	}}
	if plan.Timeout != 0 {
		p.flags.timeout, p.flags.connectTimeout = plan.Timeout, plan.Timeout
	}
	p.check(ctx, problems)
	if problems.Has("") {
		log.Fail("%s", problems)
		return exitStatus(failure.Usage)
	}
	p.debug(ctx)
	err := p.carryOut(ctx)
	if status, ok := err.(exitStatus); ok || err == nil {
		if ok {
			return status
		}
		return nil
	}
	log.Failure(err)
	return exitStatus(failure.Of(err).Exit)
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
	} else if _, err := p.flags.source(p.env).Find(ctx); err != nil {
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
	p.checkOutputs(problems)
}

// checkOutputs makes the outputs, each with a folder of its own in the destination.
func (p *piped) checkOutputs(problems *pipe.Problems) {
	known := false
	taken := map[string]bool{activate: true}
	for _, spec := range p.plan.Files.Outputs {
		w, err := parseOutput(spec, pipe.Output, "database,username=app,database=orders")
		if err == nil {
			known = known || w.flags.Lookup("known-hosts") != nil
			err = p.place(w, taken)
		}
		var made credentials.Output
		if err == nil {
			made, err = w.output()
		}
		if err != nil {
			problems.AddError(pipe.Output, err)
			continue
		}
		p.outputs = append(p.outputs, made)
	}
	if p.plan.KnownHosts != "" && !known {
		problems.Add(pipe.Known, "'%s: identity' is required with it: no other output knows hosts", pipe.Output)
	}
}

// place sets what of an output is the pipe's to say.
func (p *piped) place(w *wish, taken map[string]bool) error {
	for _, flag := range []string{"owner", "exec-plugin"} {
		if given := w.flags.Lookup(flag); given != nil && given.Changed {
			return failure.New(failure.Usage, "%s has no meaning for an output of the pipe", flag).
				Hint("leave it out; OUTPUT_OWNER is for all outputs, and the program gatepass is not there when the pipe has ended")
		}
	}
	for _, flag := range []string{"known-hosts", "server-ca", "kubernetes-ca"} {
		given := w.flags.Lookup(flag)
		if given == nil || !given.Changed || given.Value.String() == systemCAs {
			continue
		}
		if err := p.plan.Input(p.workdir, given.Value.String()); err != nil {
			return failure.New(failure.Usage, "%s: %w", flag, err)
		}
	}
	name := w.place.destination
	if name == "" {
		name = w.command.name
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", w.command.name, i)
		}
	}
	if filepath.Base(name) != name || strings.HasPrefix(name, ".") || taken[name] {
		return failure.New(failure.Usage, "destination=%s is no name of a folder in DESTINATION, or another output has it", failure.Clean(name)).
			Hint("write a plain name, such as destination=orders-db")
	}
	taken[name] = true
	w.place.destination = filepath.Join(p.plan.Files.Destination, name)
	w.place.owner = p.plan.Files.Owner
	if !w.flags.Changed("roles") {
		w.place.roles = p.plan.Roles
	}
	if known := w.flags.Lookup("known-hosts"); known != nil && !known.Changed && p.plan.KnownHosts != "" {
		return w.set("known-hosts", p.plan.KnownHosts)
	}
	return nil
}

// activate is the script that tells the lines after the pipe where everything is.
const activate = "activate"

// write joins, and leaves credentials and the script.
func (p *piped) write(ctx context.Context) error {
	files := p.plan.Files
	config := destination.Config{Path: files.Destination, Names: []string{activate}, Within: p.plan.Clone}
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
	script, err := activation(report)
	if err != nil {
		return err
	}
	if err := dir.Replace(ctx, []destination.File{{Name: activate, Data: script}}); err != nil {
		return err
	}
	p.report(report)
	return nil
}

// activation is a script of plain assignments, each exported. Nothing in it is secret.
func activation(report *client.Report) ([]byte, error) {
	environ := agent.NewEnviron(nil)
	environ.SetJoin(report.JoinID, report.Bot, report.ExpiresAt)
	for _, out := range report.Outputs {
		var files []destination.File
		for _, name := range out.Files {
			file := destination.File{Name: name}
			if name == credentials.FileEnv {
				var err error
				if file.Data, err = os.ReadFile(filepath.Join(out.Destination, name)); err != nil {
					return nil, failure.New(failure.Local, "reading what was just written: %w", err)
				}
			}
			files = append(files, file)
		}
		if err := environ.SetOutput(out.Type, out.Destination, files); err != nil {
			return nil, err
		}
		if slices.Contains(out.Files, credentials.FileSSHConfig) {
			environ.SetSSHFiles(out.Destination)
		}
	}
	return environ.Script("Written by gatepass; replaced by the next join. Use: . FILE"), nil
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
	p.log.Success("Credentials are there. In the lines of the script that follow: . %s", credentials.ShellQuote(filepath.Join(p.plan.Files.Destination, activate)))
}

func (p *piped) until(end time.Time) string {
	return fmt.Sprintf("until %s, in %s", end.UTC().Format("2006-01-02 15:04:05 MST"), end.Sub(p.env.Now()).Round(time.Second))
}

// cleanUp removes what an earlier pipe left: each output's folder, then the one around them.
func (p *piped) cleanUp(ctx context.Context) error {
	path := p.plan.Cleanup.Destination
	entries, err := os.ReadDir(path)
	if err != nil && !os.IsNotExist(err) {
		return failure.New(failure.Local, "looking for credentials: %w", err)
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
