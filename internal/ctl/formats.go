package ctl

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Formats are those of --format.
func Formats() []string { return []string{"text", "json", "yaml"} }

// Output is the flag -o, which people have in their fingers for --format.
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

// OutputFlag gives a command -o, the same as --format.
func (c *Env) OutputFlag(cmd *cobra.Command) {
	AddOutput(cmd, Formats(), "the same as --format", func(s string) { c.Format = s })
}

// AddOutput gives a command a flag -o of its own.
func AddOutput(cmd *cobra.Command, allowed []string, usage string, set func(string)) {
	cmd.Flags().VarP(&output{allowed: allowed, set: set}, "output", "o", usage)
	// It fails only for a flag that there is not.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

// IsTerminal reports whether a person sees what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
