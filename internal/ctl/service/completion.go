package service

import (
	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/ctl"
)

func (c *commands) completionCommand() *cobra.Command {
	shells := map[string]func(root *cobra.Command) error{
		"bash": func(root *cobra.Command) error { return root.GenBashCompletionV2(c.Out, true) },
		"zsh":  func(root *cobra.Command) error { return root.GenZshCompletion(c.Out) },
		"fish": func(root *cobra.Command) error { return root.GenFishCompletion(c.Out, true) },
	}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a script that completes commands, flags and names of resources in a shell",
		Long: `completion prints a script for a shell. It completes names of resources too, from
the store that the command line or the environment names.`,
		Example: `  source <(gatepassctl completion bash)
  gatepassctl completion zsh > "${fpath[1]}/_gatepassctl"
  gatepassctl completion fish > ~/.config/fish/completions/gatepassctl.fish`,
		Args:      ctl.Exactly("bash, zsh or fish"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			script, ok := shells[args[0]]
			if !ok {
				return ctl.Misused("write bash, zsh or fish", "unknown shell %q", args[0])
			}
			return script(cmd.Root())
		},
	}
}
