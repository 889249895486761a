package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// formats are those of --format.
var formats = []string{"text", "json", "yaml"}

// output is the flag -o, which people have in their fingers for --format.
type output struct {
	allowed []string
	value   string
	set     func(string)
}

func (o *output) String() string { return o.value }
func (o *output) Type() string   { return "format" }

// Set implements pflag.Value.
func (o *output) Set(s string) error {
	if !slices.Contains(o.allowed, s) {
		last := len(o.allowed) - 1
		return fmt.Errorf("write %s or %s", strings.Join(o.allowed[:last], ", "), o.allowed[last])
	}
	o.value = s
	o.set(s)
	return nil
}

// outputFlag gives a command -o, the same as --format.
func (c *cli) outputFlag(cmd *cobra.Command, allowed []string) {
	addOutput(cmd, &output{allowed: allowed, set: func(s string) { c.format = s }}, "the same as --format")
}

func addOutput(cmd *cobra.Command, o *output, usage string) {
	cmd.Flags().VarP(o, "output", "o", usage)
	// It fails only for a flag that there is not.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.allowed, cobra.ShellCompDirectiveNoFileComp))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
