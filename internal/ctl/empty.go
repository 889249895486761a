package ctl

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// Prepare is cli.Env's, and has every command refuse empty values before anything else:
// a variable of a script that is not set is one, and must not mean everything.
func (c *Env) Prepare(root *cobra.Command) {
	c.Env.Prepare(root)
	check := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := refuseEmpty(cmd, args); err != nil {
			return err
		}
		return check(cmd, args)
	}
}

// refuseEmpty refuses a word or a flag's value that is empty, or blank.
func refuseEmpty(cmd *cobra.Command, args []string) (err error) {
	if cmd.Name() == cobra.ShellCompRequestCmd || cmd.Name() == cobra.ShellCompNoDescRequestCmd {
		return nil // the word that is completed may be empty
	}
	const why = "a variable that is not set is empty"
	if slices.ContainsFunc(args, blank) {
		return cli.Misused("a word after %s is empty", cmd.CommandPath()).Hint("write the name; %s", why)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && slices.ContainsFunc(valuesOf(f), blank) {
			err = cli.Misused("--%s is empty", f.Name).Hint("write a value or leave --%s out; %s", f.Name, why)
		}
	})
	return err
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// valuesOf are the values that a flag was given.
func valuesOf(f *pflag.Flag) []string {
	list, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return []string{f.Value.String()}
	}
	if values := list.GetSlice(); len(values) > 0 {
		return values
	}
	return []string{""}
}

// Setting is a variable of the environment. One that is set and empty is an error, as an
// empty flag is: what another says must not count in its place.
func (c *Env) Setting(name string) (string, error) {
	value := c.Getenv(name)
	if c.Lookup == nil {
		return value, nil
	}
	if _, set := c.Lookup(name); set && blank(value) {
		return "", cli.Misused("%s is set and empty", name).Hint("write a value for it, or unset %s", name)
	}
	return value, nil
}
