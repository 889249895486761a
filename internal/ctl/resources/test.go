package resources

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (c *commands) testCommand() *cobra.Command {
	var cases, files []string
	cmd := &cobra.Command{
		Use:   "test -f CASES.yaml [--rules FILE|DIR]",
		Short: "check that rules let in the jobs that they should, and no others",
		Long: `test runs cases, each the claims of a job and what its join shall come to, against
the rules in files or, without --rules, the stored ones. With --rules no store is
needed, so that a team can run it in its own CI before it applies what it changed.
The exit code is 0 if every case passes, else 1.

What a file of cases has is in docs/explain.md, and gatepassctl schema --cases
prints its JSON Schema.`,
		Example: `  gatepassctl test -f cases.yaml --rules rules/
  gatepassctl test -f cases.yaml --data ./gatepass-data --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "filename"); err != nil {
				return err
			}
			return c.test(cmd.Context(), cases, files)
		},
	}
	cmd.Flags().StringArrayVarP(&cases, "filename", "f", nil, "file of cases; - for standard input")
	cmd.Flags().StringArrayVar(&files, "rules", nil, "file or directory of rules to test instead of the stored ones")
	return cmd
}

// testedFile is one file of cases, run.
type testedFile struct {
	File  string             `json:"file"`
	Cases []admin.CaseResult `json:"cases"`
}

// testReport is what test prints for machines.
type testReport struct {
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
	Files  []testedFile `json:"files"`
}

func (c *commands) test(ctx context.Context, names, ruleFiles []string) error {
	files := make([]*admin.CaseFile, len(names))
	for i, name := range names {
		var err error
		if files[i], err = c.readCases(name); err != nil {
			return err
		}
	}
	reasons, done, err := c.reasons(ctx, ruleFiles)
	if err != nil {
		return err
	}
	defer done()
	report := testReport{}
	for i, name := range names {
		results, err := c.runCases(ctx, reasons, name, files[i])
		if err != nil {
			return cli.Failed("%s: %w", name, err).Hint("mend the file of cases; its form is in docs/explain.md")
		}
		report.add(testedFile{name, results})
	}
	if err := c.Print(report, func() { c.printReport(report) }); err != nil {
		return err
	}
	if report.Failed > 0 {
		return cli.Failed("%s", ctl.Plural(report.Failed, "case does not pass", "cases do not pass")).Hint("change the rules, or what is wanted of them; gatepassctl explain tells more")
	}
	return nil
}

func (r *testReport) add(f testedFile) {
	r.Files = append(r.Files, f)
	for _, result := range f.Cases {
		if result.Passed() {
			r.Passed++
		} else {
			r.Failed++
		}
	}
}

func (c *commands) readCases(name string) (*admin.CaseFile, error) {
	data, err := c.ReadInput(name)
	if err != nil {
		return nil, err
	}
	if name == "-" {
		name = "standard input"
	}
	file, err := admin.ParseCases(name, data)
	if _, ok := errors.AsType[rules.Errors](err); ok {
		return nil, cli.Failed("%w", err).Hint("the form of a file of cases is in docs/explain.md")
	}
	return file, err
}

// runCases runs one file; what its cases name is beside it.
func (c *commands) runCases(ctx context.Context, reasons admin.Reasons, name string, f *admin.CaseFile) ([]admin.CaseResult, error) {
	beside := func(file string) ([]byte, error) {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(name), file)
		}
		return c.ReadClaims(file)
	}
	return admin.CaseConfig{Reasons: reasons, Now: c.Now(), ReadFile: beside}.Run(ctx, f)
}

// printReport writes as go test does: what fails with its reasons, then a summary.
func (c *commands) printReport(r testReport) {
	style := c.Style(c.Out)
	red, bold := style.Red, style.Bold
	for _, f := range r.Files {
		for _, result := range f.Cases {
			if result.Passed() {
				fmt.Fprintf(c.Out, "ok    %s: %s (%s)\n", result.Token, words.Visible(result.Name), result.Want)
				for _, note := range result.Notes {
					fmt.Fprintf(c.Out, "      %s:%d: note: %s\n", f.File, result.Line, words.Visible(note))
				}
				continue
			}
			fmt.Fprintf(c.Out, "%s  %s: %s\n", red("FAIL"), result.Token, words.Visible(result.Name))
			for _, problem := range result.Problems {
				fmt.Fprintf(c.Out, "      %s:%d: %s\n", f.File, result.Line, words.Visible(problem))
			}
			c.printWhy(result)
		}
	}
	summary := bold("ok")
	if r.Failed > 0 {
		summary = red("FAIL")
	}
	fmt.Fprintf(c.Out, "%s    %s passed, %d failed\n", summary, ctl.Plural(r.Passed, "case", "cases"), r.Failed)
}

// printWhy shows the rule that decided against what was wanted, or of a job that no
// rule let in the fields that kept it out.
func (c *commands) printWhy(r admin.CaseResult) {
	if r.Explanation == nil || r.Got == r.Want {
		return
	}
	for _, v := range r.Explanation.Rules {
		decided := r.Explanation.Rule != nil && *r.Explanation.Rule == v.Rule && v.Matches
		switch {
		case r.Got == admin.WantJoin && v.List == "allow" && decided:
		case r.Got == "denied_by_rule" && v.List == "deny" && decided:
		case r.Got == "no_rule_matched" && v.List == "allow":
		default:
			continue
		}
		for _, f := range v.Fields {
			if f.Matches == v.Matches {
				fmt.Fprintf(c.Out, "      %s %s[%d] %s: the rule wants %s, the job presents %s\n",
					tick(f.Matches), v.List, v.Rule, f.Field, f.Want, ctl.Presented(f.Got))
			}
		}
	}
}
