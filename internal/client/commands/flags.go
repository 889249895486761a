package commands

import (
	"context"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/internal/wait"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Environment variables; a flag wins over its variable.
const (
	envServer   = "GATEPASS_SERVER"
	envToken    = "GATEPASS_TOKEN"
	envAudience = "GATEPASS_AUDIENCE"
	envCAFile   = "GATEPASS_CA_FILE"
)

// joinFlags are the flags of every command that joins.
type joinFlags struct {
	server      string
	token       string
	method      string
	audience    string
	idTokenFile string
	caFile      string
	ttl         time.Duration
	timeout     time.Duration
	retry       bool
	format      *string       // of what is printed
	renew       bool          // join again every interval, instead of once
	interval    time.Duration // zero means half of the lifetime that is granted
}

// bind adds them, and after them the output's own, if it has any. The files of a
// database have a --format of their own, so --report is the name that always works.
func (f *joinFlags) bind(fs, own *pflag.FlagSet) {
	f.bindService(fs)
	fs.StringVar(f.format, "report", "text", "of what is printed: text, json or yaml")
	if own != nil {
		fs.AddFlagSet(own)
	}
	if fs.Lookup("format") == nil {
		fs.StringVar(f.format, "format", "text", "the same as --report")
	}
}

// bindService is bind for a command that prints no report.
func (f *joinFlags) bindService(fs *pflag.FlagSet) {
	fs.StringVar(&f.server, "server", "", "the join service: URL, or HOST:PORT for https (env "+envServer+")")
	fs.StringVar(&f.token, "token", "", "name of the token rule; it is no secret (env "+envToken+")")
	fs.StringVar(&f.method, "join-method", "", strings.Join(source.Methods(), " or ")+" (default: by where the ID token is found)")
	fs.StringVar(&f.audience, "audience", "", "audience the ID token must have; on CircleCI one is minted for it (env "+envAudience+")")
	fs.StringVar(&f.idTokenFile, "id-token-file", "", "read the ID token from this file")
	fs.StringVar(&f.caFile, "ca-file", "", "PEM certificates to trust besides the system's (env "+envCAFile+")")
	fs.DurationVar(&f.ttl, "ttl", 0, "lifetime to ask for, such as 15m (default: the service's)")
	fs.DurationVar(&f.timeout, "timeout", 90*time.Second, "how long to try, all attempts together")
	fs.BoolVar(&f.retry, "retry", true, "try again while the service is briefly unavailable")
	fs.SortFlags = false
}

func (env *Env) bindFormat(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVar(&env.Format, "format", "text", "text, json or yaml")
}

// fill takes from the environment what no flag gave.
func (f *joinFlags) fill(getenv func(string) string) {
	for value, name := range map[*string]string{&f.server: envServer, &f.token: envToken, &f.audience: envAudience, &f.caFile: envCAFile} {
		if *value == "" {
			*value = getenv(name)
		}
	}
}

// run joins for the outputs and prints what came of it.
func (f *joinFlags) run(ctx context.Context, env *Env, outputs []*credentials.Output) error {
	join, err := f.join(env, outputs)
	if err != nil {
		return err
	}
	if f.renew {
		return f.runRenewal(ctx, env, join)
	}
	report, err := join.Run(ctx)
	if err != nil {
		return err
	}
	return env.printReport(report)
}

// runRenewal joins again and again until it is told to stop.
func (f *joinFlags) runRenewal(ctx context.Context, env *Env, join client.Join) error {
	return client.Renewal{
		Join:     join,
		Interval: f.interval,
		Report:   env.printReport,
		Warn:     env.warn,
		Sleep:    wait.For,
	}.Run(ctx)
}

// join is the join that flags and environment tell.
func (f *joinFlags) join(env *Env, outputs []*credentials.Output) (client.Join, error) {
	f.fill(env.Getenv)
	url, err := service.ParseURL(f.server)
	if err != nil {
		return client.Join{}, err
	}
	return client.Join{
		Token:  f.token,
		TTL:    f.ttl,
		Info:   api.ClientInfo{Version: env.Version, OS: runtime.GOOS, Arch: runtime.GOARCH},
		Source: f.source(env),
		Service: service.Config{
			URL:       url,
			CAFile:    f.caFile,
			Timeout:   f.timeout,
			Retry:     f.retry,
			UserAgent: "gatepass/" + env.Version,
			Waiting:   env.waiting,
		},
		Outputs: outputs,
		Random:  env.Random,
		Now:     env.Now,
	}, nil
}

// source is where the ID token is looked for.
func (f *joinFlags) source(env *Env) source.Finder {
	return source.Finder{
		File:     f.idTokenFile,
		Audience: f.audience,
		Method:   f.method,
		Getenv:   env.Getenv,
		ReadFile: os.ReadFile,
		Run:      source.RunCommand(env.Err),
		Sleep:    wait.For,
	}
}
