package cli

import "github.com/spf13/cobra"

// Complete offers values of a command's flag.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist, or that has its own completion.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// CompletionCommand prints scripts for shells.
func CompletionCommand(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a script that completes commands and flags in a shell",
		Example: "  source <(" + program + " completion bash)\n" +
			"  " + program + ` completion zsh > "${fpath[1]}/_` + program + "\"\n" +
			"  " + program + " completion fish > ~/.config/fish/completions/" + program + ".fish",
		Args:      Exactly("bash, zsh or fish"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return Misused("unknown shell %q", args[0]).Hint("write bash, zsh or fish")
		},
	}
}
