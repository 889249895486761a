package resources

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

type explainFlags struct {
	token           string
	idToken, claims string
	files           []string
	last            string
}

func (c *commands) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain [--token NAME] (--id-token FILE | --claims FILE | --last JOIN_ID) [-f FILE|DIR]",
		Short: "tell whether a job would join by a token rule, and if not why",
		Long: `explain makes every check of a join by the stored rules and keys, or by the rules
in files, and tells for each rule and each of its fields what it wants and what the
job presents. It claims nothing, records nothing and asks no one. The exit code is
0 if the job would join, else 1.

The ID token is read from a file and never printed. A claims file has the JSON of
the token's payload, with the CI's own names, or the report that a job gets by
gatepass doctor --report json. --last takes the claims of a join that
was made, and tells whether the rules as they are now would say the same.

--token may be left out where only one token rule is of the ID token's issuer.`,
		Example: `  gatepassctl explain --token example-bot --id-token token.jwt --data ./gatepass-data
  gatepassctl explain --claims claims.json -f rules/
  gatepassctl explain --last 01JD2K6ZQ4V8T0N1M5R7W9X3YB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.explain(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.token, "token", "", "name of the token rule")
	fl.StringVar(&f.idToken, "id-token", "", "file with the ID token; - for standard input")
	fl.StringVar(&f.claims, "claims", "", "file with the claims as JSON; - for standard input")
	fl.StringVar(&f.last, "last", "", "id of a join whose record is explained")
	fl.StringArrayVarP(&f.files, "filename", "f", nil, "file or directory of rules to ask instead of the stored ones")
	ctl.CompleteFlag(cmd, "token", c.CompleteName(rules.KindToken))
	ctl.CompleteFlag(cmd, "last", c.CompleteJoin)
	return cmd
}

func (c *commands) explain(ctx context.Context, f explainFlags) error {
	given := 0
	for _, s := range []string{f.idToken, f.claims, f.last} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return cli.Misused("give one of an ID token, claims and a join").Hint("write --id-token FILE, --claims FILE or --last JOIN_ID")
	}
	if f.last != "" {
		return c.explainLast(ctx, f)
	}
	q, err := c.question(f)
	if err != nil {
		return err
	}
	reasons, done, err := c.reasons(ctx, f.files)
	if err != nil {
		return err
	}
	defer done()
	e, err := admin.Explain(ctx, reasons, q)
	if errors.Is(err, store.ErrNotFound) && len(f.files) > 0 {
		stored, _ := reasons.List(ctx, rules.KindToken)
		return cli.Failed("token/%s is not in %s", q.Token, strings.Join(f.files, ", ")).Hint("%ssee which there are: grep -A2 'kind: token'", nearest(ref{rules.KindToken, q.Token}, stored))
	}
	if errors.Is(err, store.ErrNotFound) {
		return notStored(ctx, reasons, rules.KindToken, q.Token, err)
	}
	if _, ok := errors.AsType[*admin.AmbiguousError](err); ok {
		return cli.Misused("%w", err).Hint("write --token NAME")
	}
	if err != nil {
		return err
	}
	return c.concludeExplanation(e)
}

func (c *commands) question(f explainFlags) (admin.Question, error) {
	q := admin.Question{Token: f.token, Now: c.Now()}
	if f.claims != "" {
		claims, err := c.ReadClaims(f.claims)
		q.Claims = claims
		return q, err
	}
	data, err := c.ReadInput(f.idToken)
	q.IDToken = strings.TrimSpace(string(data))
	return q, err
}

// reasons are the rules in files, or without any the store's. done is called when
// they are no longer needed.
func (c *commands) reasons(ctx context.Context, files []string) (reasons admin.Reasons, done func() error, err error) {
	if len(files) > 0 {
		resources, err := c.readResources(files)
		if err != nil {
			return nil, nil, err
		}
		static, err := admin.NewStatic(resources)
		return static, func() error { return nil }, err
	}
	b, err := c.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	return b.Store(), b.Close, nil
}

// explainLast explains a join by its record, which only a store has.
func (c *commands) explainLast(ctx context.Context, f explainFlags) error {
	if f.token != "" {
		return cli.Misused("--last and --token do not go together").Hint("leave out --token: the record names it")
	}
	b, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	record, err := ctl.Join(ctx, b.Store(), f.last)
	if err != nil {
		return err
	}
	var reasons admin.Reasons = b.Store()
	if len(f.files) > 0 {
		if reasons, _, err = c.reasons(ctx, f.files); err != nil {
			return err
		}
	}
	e, err := admin.ExplainRecord(ctx, reasons, record, c.Now())
	if err != nil {
		return err
	}
	return c.concludeExplanation(e)
}

func (c *commands) concludeExplanation(e admin.Explanation) error {
	if err := c.Print(e, func() { c.printExplanation(e) }); err != nil {
		return err
	}
	if e.Code != store.CodeOK {
		return cli.Failed("this job would be refused: %s", e.Code).Hint("docs/errors.md tells what to do about %s", e.Code)
	}
	return nil
}
