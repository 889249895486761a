package service

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

//go:embed guides
var guides embed.FS

func (c *commands) demoCommand() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "show everything on this machine: two CIs, the service, an SSH login, a refusal",
		Long: `demo starts two issuers that mint tokens as Bitbucket Pipelines and CircleCI do,
the join service and this machine's sshd, all on loopback addresses and in a
temporary folder; runs the commands of a pipeline; and shows a join that is
refused. Without OpenSSH it shows what a server would see, instead of a login.
It leaves nothing behind.`,
		Example: "  gatepassctl demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if client == "" {
				client = filepath.Join(filepath.Dir(self), "gatepass")
			}
			if _, err := os.Stat(client); errors.Is(err, fs.ErrNotExist) {
				return cli.Failed("%s does not exist", client).Hint("build both commands with make build, or name the client with --gatepass")
			}
			d := &demo{gatepass: client, gatepassctl: self, out: c.Out, bold: c.Style(c.Out).Bold}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&client, "gatepass", "", "path of the client (default beside this command)")
	return cmd
}

// demo shows Gatepass on one machine: two CIs, the join service, the machine's own SSH
// server, the commands of both CIs' guides, and a join that is refused. It runs the
// commands that users run, and leaves nothing behind.
type demo struct {
	gatepass, gatepassctl string // the paths of the two commands
	out                   io.Writer
	bold                  func(string) string // marks headings, if out is for eyes

	dir      string // of the whole demonstration
	pipeline string // where the CI's job would have its clone
	env      []string
	issuer   *issuer
	server   string // host:port of the join service
	sshd     *sshd  // nil where it cannot be
	cleanups []func() error
	step     int
}

// run runs the demonstration. It ends with an error if anything does not go as it says.
func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "gatepass-demo-"); err != nil {
		return err
	}
	d.cleanups = append(d.cleanups, func() error { return os.RemoveAll(d.dir) })
	defer func() { err = errors.Join(err, d.cleanUp()) }()
	d.pipeline = filepath.Join(d.dir, "pipeline")
	if err := os.Mkdir(d.pipeline, 0o700); err != nil {
		return err
	}
	began := time.Now()
	d.say("Gatepass on this machine: two CIs, the join service and an SSH server. All of it is\nin a temporary folder and gone at the end.")
	for _, step := range []func(context.Context) error{
		d.startIssuers, d.startService, d.applyRules, d.startSSH,
		d.bitbucket, d.circleci, d.wrongBranch,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.say("\n%s In %.1f s. Nothing is left behind.", d.bold("Done."), time.Since(began).Seconds())
	return nil
}

// cleanUp undoes what was started, last first.
func (d *demo) cleanUp() error {
	var errs []error
	for i := len(d.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, d.cleanups[i]())
	}
	return errors.Join(errs...)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) heading(text string) {
	d.step++
	d.say("\n%s", d.bold(fmt.Sprintf("%d. %s", d.step, text)))
}

func (d *demo) indented(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		d.say("   %s", strings.Join(wrap(line), "\n     "))
	}
}

const (
	maxLine = 110 // longer lines of text are wrapped
	maxWord = 72  // longer words, which are keys and certificates, are cut short
)

// wrap makes a line fit to be read. One that fits stays as it is.
func wrap(line string) []string {
	if len(line) <= maxLine {
		return []string{line}
	}
	var lines []string
	current := ""
	for word := range strings.SplitSeq(line, " ") {
		if len(word) > maxWord {
			word = word[:maxWord/2] + "…"
		}
		if current != "" && len(current)+1+len(word) > maxLine {
			lines = append(lines, current)
			current = word
			continue
		}
		current = strings.TrimPrefix(current+" "+word, " ")
	}
	return append(lines, current)
}

// startIssuers starts what stands in for both CIs' issuers.
func (d *demo) startIssuers(context.Context) (err error) {
	d.heading("Two issuers that mint ID tokens as the CIs do")
	if d.issuer, err = startIssuer(); err != nil {
		return err
	}
	d.cleanups = append(d.cleanups, d.issuer.close)
	d.indented("bitbucket  " + d.issuer.url(bitbucketPath) + "\ncircleci   " + d.issuer.url(circleCIPath))
	ca := filepath.Join(d.dir, "issuer-ca.pem")
	if err := os.WriteFile(ca, []byte(d.issuer.caPEM), 0o600); err != nil {
		return err
	}
	// Only what a CI's job would have: nothing of the caller's own credentials.
	d.env = []string{
		"PATH=" + filepath.Dir(d.gatepass) + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + d.dir,
		"GATEPASS_DATA=" + filepath.Join(d.dir, "data"),
		"GATEPASS_PRIVATE_ISSUERS=" + d.issuer.host,
		"GATEPASS_ISSUER_CA=" + ca,
	}
	return nil
}

// applyRules applies the guides' files. What is changed in them is said.
func (d *demo) applyRules(ctx context.Context) error {
	d.heading("The rules of both guides")
	d.indented(`The guides' files as they stand, save for:
- identity_provider_url, and issuer, which is added: the issuers above are on loopback addresses
- branch_name: main, added so that there is a job to refuse
- the second token rule's name: both guides call theirs example-bot, and here they share a service
- the bot's role, which lets it log in as deploy: the guides leave it to a later page
The warnings are lint's: what would be loose in production.`)
	replace := strings.NewReplacer("BITBUCKET_ISSUER", d.issuer.url(bitbucketPath), "CIRCLECI_ISSUER", d.issuer.url(circleCIPath), "SERVER", d.server)
	for _, name := range []string{"role.yaml", "bot.yaml", "bitbucket-token.yaml", "circleci-token.yaml", "tbot.yaml"} {
		text, err := guides.ReadFile("guides/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.pipeline, name), []byte(replace.Replace(string(text))), 0o600); err != nil {
			return err
		}
	}
	for _, files := range [][]string{{"role.yaml", "bot.yaml"}, {"bitbucket-token.yaml"}, {"circleci-token.yaml"}} {
		args := []string{"create"}
		for _, name := range files {
			args = append(args, "-f", name)
		}
		if err := d.succeed(ctx, nil, "gatepassctl", args...); err != nil {
			return err
		}
	}
	return nil
}

// command runs a command in the pipeline's folder and shows it with its output.
// env is shown by name only.
func (d *demo) command(ctx context.Context, env []string, name string, args ...string) (output string, exit int, err error) {
	d.say("   %s", d.bold("$ "+words.ShellLine(append([]string{name}, args...))))
	path := name
	switch name {
	case "gatepass":
		path = d.gatepass
	case "gatepassctl":
		path = d.gatepassctl
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = d.pipeline, append(env, d.env...)
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); text != "" {
		d.indented(text)
	}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.Exited() {
		return string(out), failed.ExitCode(), nil
	}
	return string(out), 0, err
}

// succeed runs a command that must exit with 0.
func (d *demo) succeed(ctx context.Context, env []string, name string, args ...string) error {
	_, exit, err := d.command(ctx, env, name, args...)
	if err == nil && exit != 0 {
		err = fmt.Errorf("%s ended with exit code %d", name, exit)
	}
	return err
}
