package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// newFlags are those beside the answers.
type newFlags struct {
	idToken, claims string
	output          string
	force, quiet    bool
}

func (c *commands) newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "write the first rules of a pipeline, from what its settings pages show",
		Long: `new writes a bot, a role and a token rule as YAML, with comments. It asks for what
is needed and tells where each thing is found; flags answer beforehand. A name where
an id belongs is caught and explained.`,
		Example: "  gatepassctl new bitbucket\n  gatepassctl new circleci --id-token token.jwt -o rules.yaml",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsCommand,
	}
	for _, p := range provider.All() {
		cmd.AddCommand(c.newMethodCommand(p.Method, p.Name, fmt.Sprintf(`  gatepassctl new %[1]s -o rules.yaml
  gatepassctl new %[1]s --id-token token.jwt --bot shop-deploy --audience https://join.example.com`, p.Method)))
	}
	return cmd
}

func (c *commands) newMethodCommand(method, name, example string) *cobra.Command {
	var f newFlags
	given := map[string]*string{}
	cmd := &cobra.Command{
		Use:   method,
		Short: "write the first rules of a pipeline of " + name,
		Long: `Whatever is not given by a flag is asked for at the terminal. Ids may be given with
or without braces and in any case, and as the addresses and names that the settings
pages show. With --id-token or --claims they are read out of a job's own ID token,
which is not printed and not believed: look at what comes of it.

The YAML goes to standard output, or to a file that does not exist yet.`,
		Example: example,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answers := map[string]string{}
			for name, value := range given {
				if cmd.Flags().Changed(name) {
					answers[name] = *value
				}
			}
			return c.newRules(cmd.Context(), method, answers, f)
		},
	}
	fl := cmd.Flags()
	for _, q := range questionsOf(method, time.Time{}) {
		usage := q.Text
		if q.Where != "" {
			usage += "; " + q.Where
		}
		given[q.Name] = fl.String(q.Name, "", usage)
	}
	fl.StringVar(&f.idToken, "id-token", "", "file with an ID token of such a job, to read ids out of; - for standard input")
	fl.StringVar(&f.claims, "claims", "", "file with the claims of one as JSON; - for standard input")
	fl.StringVarP(&f.output, "output", "o", "", "file to write")
	fl.BoolVar(&f.force, "force", false, "write over the file if it exists")
	fl.BoolVar(&f.quiet, "non-interactive", false, "ask nothing: what is required and not given is an error")
	return cmd
}

func (c *commands) newRules(ctx context.Context, method string, given map[string]string, f newFlags) error {
	answers, err := c.readAnswers(method, given)
	if err != nil {
		return err
	}
	if err := c.answersOfToken(method, answers, f); err != nil {
		return err
	}
	now := c.Now()
	if !f.quiet && c.MayAsk() {
		err := askAll(ctx, method, answers, now, c.In, c.Err)
		if errors.Is(err, context.Canceled) {
			return cli.Failed("interrupted").Hint("nothing was written")
		}
		if errors.Is(err, errNoAnswer) {
			return cli.Failed("%w", err).Hint("run it again, or give the answers as flags; see gatepassctl new %s --help", method)
		}
		if err != nil {
			return err
		}
	}
	missing, err := complete(method, answers, now)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return cli.Misused("missing: %s", flagNames(missing)).Hint("give them as flags, or run it at a terminal to be asked; each is explained by gatepassctl new %s --help", method)
	}
	text, findings, err := writeRules(method, answers)
	if err != nil {
		return err
	}
	for _, finding := range findings {
		fmt.Fprintf(c.Err, "%s: %s/%s: %s: %s\n", finding.Severity, finding.Kind, finding.Name, finding.Field, finding.Message)
	}
	return c.writeNew(text, f)
}

func flagNames(names []string) string {
	for i, name := range names {
		names[i] = "--" + strings.ReplaceAll(name, " or ", " or --")
	}
	return strings.Join(names, ", ")
}

// readAnswers reads what flags say; all that is wrong is told at once.
func (c *commands) readAnswers(method string, given map[string]string) (answered, error) {
	answers := answered{}
	var faults []string
	for _, q := range questionsOf(method, c.Now()) {
		s, ok := given[q.Name]
		if !ok {
			continue
		}
		answer, err := q.Read(s)
		if err != nil {
			faults = append(faults, fmt.Sprintf("--%s: %s", q.Name, err))
			continue
		}
		answers[q.Name] = answer
	}
	if len(faults) > 0 {
		return nil, cli.Misused("%s", strings.Join(faults, "\n")).Hint("each flag is explained by gatepassctl new %s --help", method)
	}
	return answers, nil
}

// answersOfToken adds what a job's own ID token says, where no flag says otherwise.
func (c *commands) answersOfToken(method string, answers answered, f newFlags) error {
	if f.idToken == "" && f.claims == "" {
		return nil
	}
	if f.idToken != "" && f.claims != "" {
		return cli.Misused("both an ID token and claims were given").Hint("write --id-token FILE or --claims FILE")
	}
	q, err := c.question(explainFlags{idToken: f.idToken, claims: f.claims})
	if err != nil {
		return err
	}
	claims, err := q.Unverified(method)
	if refusal, ok := errors.AsType[*token.Error](err); ok {
		return cli.Failed("reading %s: %w", f.idToken+f.claims, refusal).Hint("give the ID token as the CI minted it, or the JSON of its payload")
	}
	if err != nil {
		return err
	}
	read, notes, err := answersOfClaims(method, claims)
	if err != nil {
		return err
	}
	for name, answer := range read {
		if answers[name] == "" {
			answers[name] = answer
		}
	}
	for _, note := range notes {
		fmt.Fprintln(c.Err, "note:", words.Visible(note))
	}
	return nil
}

// writeNew writes the rules where they were asked for.
func (c *commands) writeNew(text []byte, f newFlags) error {
	if c.Format == "json" {
		if f.output != "" {
			return cli.Misused("a file of rules is YAML, for its comments").Hint("leave out --format, or --output")
		}
		return c.printNew(text)
	}
	if f.output == "" {
		_, err := c.Out.Write(text)
		return err
	}
	if err := writeFileOnce(f.output, text, f.force); err != nil {
		return err
	}
	fmt.Fprintf(c.Err, "wrote %s; look at it, then run: gatepassctl apply -f %s\n", f.output, f.output)
	return nil
}

func (c *commands) printNew(text []byte) error {
	documents, _, err := rules.Parse("the rules made", text)
	if err != nil {
		return err
	}
	all, err := resourcesJSON(resourcesOf(documents))
	if err != nil {
		return err
	}
	return c.Print(all, nil)
}

// writeFileOnce writes a file that must not exist, unless it may be written over.
func writeFileOnce(path string, content []byte, over bool) error {
	if over {
		return ctl.WriteFile(path, 0o644, content)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return cli.Failed("%s exists already", path).Hint("name another file, or write --force")
	}
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}
