package commands

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/words"
)

func newInspect(env *Env) *cobra.Command {
	var passwordFile string
	cmd := &cobra.Command{
		Use:   "inspect DIR|FILE…",
		Short: "Say what credentials are, and until when they hold",
		Example: `  gatepass inspect ./id
  gatepass inspect --format json ./id/key-cert.pub`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Misused("no directory or file is named").Hint("use `gatepass inspect ./id`")
			}
			return nil
		},
	}
	env.bindFormat(cmd.Flags())
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file with the password of PKCS#12 files (default: keystore.password beside them)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		all := []credentials.Credential{}
		for _, path := range args {
			found, err := credentials.Inspect(path, passwordFile, env.Now())
			if err != nil {
				return cli.Failed("%w", err).Hint("name the directory that was given to --destination, or a file in it")
			}
			all = append(all, found...)
		}
		for i := range all {
			if warning := all[i].Warning(); warning != "" {
				env.warn(words.Clean(warning))
			}
		}
		return env.Print(all, func() {
			for i := range all {
				all[i].Text(env.Out, env.Style(env.Out))
			}
		})
	}
	return cmd
}

// oneDirectory wants a directory, as the command's example has it.
func oneDirectory(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.Misused("%s takes one directory", cmd.Name()).Hint("use `%s`", strings.TrimSpace(cmd.Example))
	}
	return nil
}

func newLogout(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "logout DIR",
		Short:   "Overwrite and remove the credentials in a directory",
		Example: "  gatepass logout ./id",
		Args:    oneDirectory,
	}
	env.bindFormat(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := credentials.ParsePath(args[0])
		if err != nil {
			return err
		}
		if path == "" {
			return cli.Misused("there is nothing to remove from memory").Hint("name the directory that was given to --destination")
		}
		removed, err := destination.Remove(cmd.Context(), path)
		if err != nil {
			return err
		}
		if len(removed.Foreign) > 0 {
			env.warn("left what gatepass did not write: " + words.Clean(strings.Join(removed.Foreign, ", ")))
		}
		return env.Print(removed, func() {
			if len(removed.Files) == 0 {
				fmt.Fprintf(env.Out, "no credentials in %s\n", removed.Path)
				return
			}
			fmt.Fprintf(env.Out, "removed %d files from %s\n", len(removed.Files), removed.Path)
		})
	}
	return cmd
}

func newVersion(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  gatepass version --format json",
		Args:    cli.Exactly(),
	}
	env.bindFormat(cmd.Flags())
	cmd.RunE = func(*cobra.Command, []string) error {
		v := map[string]string{"version": env.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}
		return env.Print(v, func() {
			fmt.Fprintf(env.Out, "gatepass %s %s %s/%s\n", env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		})
	}
	return cmd
}
