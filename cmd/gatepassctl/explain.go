package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// reasonCommands are those that help to write rules and tell what they decide.
func (c *cli) reasonCommands() []*cobra.Command {
	return []*cobra.Command{c.explainCommand()}
}

func (c *cli) explainCommand() *cobra.Command {
	var name, idTokenFile, claimsFile string
	cmd := &cobra.Command{
		Use:   "explain --token NAME (--id-token FILE | --claims FILE)",
		Short: "tell whether a job would join by a token rule, and if not why",
		Long: `explain makes every check of a join by the stored rules and keys, and tells for
each rule which fields do not match. It claims nothing, records nothing and asks
no one. The exit code is 0 if the job would join, else 1.

The ID token is read from a file and never printed. A claims file has the JSON of
the token's payload, with the CI's own names.`,
		Example: `  gatepassctl explain --token example-bot --id-token token.jwt --data ./gatepass-data
  gatepassctl explain --token example-bot --claims claims.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "token"); err != nil {
				return err
			}
			if (idTokenFile == "") == (claimsFile == "") {
				return misused("write --id-token FILE or --claims FILE", "give either an ID token or claims")
			}
			q := admin.Question{Token: name, Now: c.now()}
			data, err := c.readInput(idTokenFile + claimsFile)
			if err != nil {
				return err
			}
			if idTokenFile != "" {
				q.IDToken = strings.TrimSpace(string(data))
			} else {
				q.Claims = data
			}
			return c.explain(cmd, q)
		},
	}
	cmd.Flags().StringVar(&name, "token", "", "name of the token rule")
	cmd.Flags().StringVar(&idTokenFile, "id-token", "", "file with the ID token; - for standard input")
	cmd.Flags().StringVar(&claimsFile, "claims", "", "file with the claims as JSON; - for standard input")
	return cmd
}

func (c *cli) explain(cmd *cobra.Command, q admin.Question) error {
	b, err := c.open(cmd.Context(), false)
	if err != nil {
		return err
	}
	defer b.close()
	e, err := admin.Explain(cmd.Context(), b.store, q)
	if errors.Is(err, join.ErrNotFound) {
		return notStored(rules.KindToken, q.Token, err)
	}
	if err != nil {
		return err
	}
	if err := c.print(e, func() { c.printExplanation(e) }); err != nil {
		return err
	}
	if e.Code != join.CodeOK {
		return failed("docs/errors.md tells what to do about "+e.Code, "this job would be refused: %s", e.Code)
	}
	return nil
}

func (c *cli) printExplanation(e admin.Explanation) {
	_, bold := c.colours(c.out)
	rows := [][]string{{"CHECK", "RESULT", "DETAIL"}}
	for _, check := range e.Checks {
		rows = append(rows, []string{check.Name, check.Code, check.Detail})
	}
	c.table(rows)
	c.printMismatches(e.Mismatches, 0)
	if len(e.Presented) > 0 {
		fmt.Fprintf(c.out, "\n%s\n", bold("what the job presents"))
		var rows [][]string
		for field, values := range e.Presented {
			rows = append(rows, []string{field, strings.Join(values, ", ")})
		}
		slices.SortFunc(rows, func(x, y []string) int { return strings.Compare(x[0], y[0]) })
		c.table(rows)
	}
	if len(e.Grants) > 0 {
		fmt.Fprintf(c.out, "\n%s\n", bold("what its roles grant"))
		rows := [][]string{{"ROLE", "GRANTS"}}
		for _, g := range e.Grants {
			rows = append(rows, []string{g.Role, g.Grants})
		}
		c.table(rows)
		limit := ""
		if e.TTLLimitedBy != "" {
			limit = ", limited by " + e.TTLLimitedBy
		}
		fmt.Fprintf(c.out, "lifetime %s by default%s\n", time.Duration(e.TTLSeconds)*time.Second, limit)
	}
	verdict := "would join"
	if e.Code != join.CodeOK {
		verdict = "would be refused: " + e.Code
	}
	fmt.Fprintf(c.out, "\n%s\n", bold(verdict))
}
