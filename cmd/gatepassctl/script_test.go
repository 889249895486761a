package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/ctl/service"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatepassctl": hasty})
}

// hasty is main for stories, whose functions go by nothing that they read before.
func hasty() {
	os.Exit(int(run(&ctl.Env{Env: cli.Env{Name: "gatepassctl", Getenv: os.Getenv, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now}, CacheFor: 100 * time.Millisecond, Lookup: os.LookupEnv}, os.Args[1:])))
}

// TestScripts runs the real binary, one story a file.
func TestScripts(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			if err := beginData(env); err != nil {
				return err
			}
			return writeFixtures(env.WorkDir, issuer)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode": checkMode,
		},
	})
}

// writeFixtures writes what only a program can make: keys and tokens of an issuer.
func writeFixtures(dir string, issuer *issuertest.Issuer) error {
	keys, err := issuer.JWKS()
	if err != nil {
		return err
	}
	good, err := issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		return err
	}
	wrong, err := issuer.Bitbucket(issuertest.BitbucketJob{BranchName: "feature/x"})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"jwks.json": keys, "token.jwt": []byte(good + "\n"), "wrong-branch.jwt": []byte(wrong)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// beginData makes what a first start of serve makes, in $GATEPASS_DATA.
func beginData(env *testscript.Env) error {
	data := filepath.Join(env.WorkDir, "data")
	env.Setenv("GATEPASS_DATA", data)
	env.Setenv("STORE", data) // as changes name it
	return beginDirectory(data)
}

func beginDirectory(data string) error {
	server, err := service.Open(context.Background(), service.Config{Data: data, Listen: "127.0.0.1:0", Now: time.Now, Log: ctl.Quiet()})
	if err != nil {
		return err
	}
	return server.Close()
}

// checkMode checks a file's permissions: mode FILE 0600.
func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := info.Mode().Perm().String(); got != args[1] {
		ts.Fatalf("%s is %s, not %s", args[0], got, args[1])
	}
}

func TestEveryHelpHasAnExample(t *testing.T) {
	commands := []*cobra.Command{root(&ctl.Env{Env: cli.Env{Name: "gatepassctl", Getenv: os.Getenv}})}
	for len(commands) > 0 {
		cmd := commands[0]
		commands = append(commands[1:], cmd.Commands()...)
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s --help has no example or no summary", cmd.CommandPath())
		}
	}
}

func TestExitCodes(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		args []string
		want cli.Exit
	}{
		{[]string{"version"}, cli.ExitDone},
		{[]string{"--help"}, cli.ExitDone},
		{[]string{"keys", "ls", "--data", data}, cli.ExitFailed}, // there is no data yet
		{[]string{"apply", "-f", "nowhere.yaml", "--data", data}, cli.ExitFailed},
		{[]string{"aply"}, cli.ExitUsage},
		{[]string{"apply"}, cli.ExitUsage},
		{[]string{"apply", "--unknown"}, cli.ExitUsage},
		{[]string{"get"}, cli.ExitUsage},
		{[]string{"get", "token"}, cli.ExitUsage}, // no data directory was given
		{[]string{"get", "pod", "--data", data}, cli.ExitUsage},
		{[]string{"version", "--format", "xml"}, cli.ExitUsage},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			getenv := func(string) string { return "" }
			if got := runIn(t.Context(), c.args, getenv, strings.NewReader(""), &out, &errs); got != c.want {
				t.Errorf("exit code %d, want %d\n%s", got, c.want, &errs)
			}
			if lines := strings.Count(errs.String(), "\n"); c.want != cli.ExitDone && (lines < 1 || lines > 2) {
				t.Errorf("%d lines of error:\n%s", lines, &errs)
			}
		})
	}
}

// runIn runs a command in this process.
func runIn(ctx context.Context, args []string, getenv func(string) string, in io.Reader, out, errw io.Writer) cli.Exit {
	env := &ctl.Env{Env: cli.Env{Name: "gatepassctl", Getenv: getenv, In: in, Out: out, Err: errw, Now: time.Now}}
	return env.Execute(ctx, root(env), args)
}
