package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/command"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/service"
)

func newDoctor(env *Env) *command.Command {
	var flags joinFlags
	cmd := &command.Command{
		Use:   "doctor",
		Short: "Say why a join fails in this job, without joining",
		Long: "doctor looks for this job's ID token and shows its claims, never the token; it asks whether the service\n" +
			"can be reached and compares the clocks. It says what to change, and ends with exit status 0, 1, 3 or 4.",
		Example: `  gatepass doctor --server https://join.example.com --audience https://join.example.com`,
		Args:    noArgs,
	}
	flags.bind(cmd.Flags(), nil)
	cmd.Run = func(ctx context.Context, _ []string) error {
		if err := checkFormat(flags.format); err != nil {
			return err
		}
		flags.fill(env.Getenv)
		join, err := flags.join(env, nil)
		d := client.Doctor{Source: flags.source(env), ServiceError: err, Now: env.Now}
		if err == nil {
			d.Service, d.ServiceError = service.New(join.Service)
		}
		report := d.Run(ctx)
		if flags.format == "json" {
			if err := writeJSON(env.Stdout, report); err != nil {
				return err
			}
		} else {
			env.printDiagnosis(report)
		}
		if status := report.ExitStatus(); status != 0 {
			return exitStatus(status)
		}
		return nil
	}
	return cmd
}

// printDiagnosis writes a line for each check, what to change below it, and the claims.
func (env *Env) printDiagnosis(report *client.Diagnosis) {
	colours := map[client.CheckStatus]string{client.CheckOK: "\x1b[32m", client.CheckWarning: "\x1b[33m", client.CheckFailed: "\x1b[1;31m"}
	for _, c := range report.Checks {
		status := fmt.Sprintf("%-8s", c.Status)
		if code := colours[c.Status]; code != "" && env.colour(env.Stdout) {
			status = code + status + "\x1b[0m"
		}
		fmt.Fprintf(env.Stdout, "%s %-12s %s\n", status, c.Name, oneLine(c.Text))
		for _, hint := range c.Hints {
			fmt.Fprintf(env.Stdout, "%21s -> %s\n", "", oneLine(hint))
		}
	}
	if len(report.Claims) == 0 {
		return
	}
	fmt.Fprintln(env.Stdout, "claims of the ID token, as a token rule sees them:")
	for _, name := range slices.Sorted(maps.Keys(report.Claims)) {
		value, err := json.Marshal(report.Claims[name])
		if text, ok := report.Claims[name].(string); ok {
			value = []byte(text)
		}
		if err == nil {
			fmt.Fprintf(env.Stdout, "  %-34s %s\n", failure.Clean(name), failure.Clean(string(value)))
		}
	}
}
