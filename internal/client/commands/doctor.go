package commands

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/words"
)

func newDoctor(env *Env) *cobra.Command {
	flags := joinFlags{format: &env.Format}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say why a join fails in this job, without joining",
		Long: "doctor looks for this job's ID token and shows its claims, never the token; it asks whether the service\n" +
			"can be reached and compares the clocks. It says what to change, and ends with exit status 0, 1, 3 or 4.",
		Example: `  gatepass doctor --server https://join.example.com --audience https://join.example.com`,
		Args:    cli.Exactly(),
	}
	flags.bind(cmd.Flags(), nil)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		flags.fill(env.Getenv)
		join, err := flags.join(env, nil)
		d := client.Doctor{Source: flags.source(env), ServiceError: err, Now: env.Now}
		if err == nil {
			d.Service, d.ServiceError = service.New(join.Service)
		}
		report := d.Run(cmd.Context())
		if err := env.Print(report, func() { env.printDiagnosis(report) }); err != nil {
			return err
		}
		if status := report.ExitStatus(); status != 0 {
			return cli.Exit(status)
		}
		return nil
	}
	return cmd
}

// printDiagnosis writes a line for each check, what to change below it, and the claims.
func (env *Env) printDiagnosis(report *client.Diagnosis) {
	style := env.Style(env.Out)
	colours := map[client.CheckStatus]func(string) string{client.CheckOK: style.Green, client.CheckWarning: style.Yellow, client.CheckFailed: style.Red}
	for _, c := range report.Checks {
		status := fmt.Sprintf("%-8s", c.Status)
		if colour := colours[c.Status]; colour != nil {
			status = colour(status)
		}
		fmt.Fprintf(env.Out, "%s %-12s %s\n", status, c.Name, words.OneLine(c.Text))
		for _, hint := range c.Hints {
			fmt.Fprintf(env.Out, "%21s -> %s\n", "", words.OneLine(hint))
		}
	}
	if len(report.Claims) == 0 {
		return
	}
	fmt.Fprintln(env.Out, "claims of the ID token, as a token rule sees them:")
	for _, name := range slices.Sorted(maps.Keys(report.Claims)) {
		value, err := json.Marshal(report.Claims[name])
		if text, ok := report.Claims[name].(string); ok {
			value = []byte(text)
		}
		if err == nil {
			fmt.Fprintf(env.Out, "  %-34s %s\n", words.Clean(name), words.Clean(string(value)))
		}
	}
}
