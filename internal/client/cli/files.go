package cli

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/client/command"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

func newInspect(env *Env) *command.Command {
	var format, passwordFile string
	cmd := &command.Command{
		Use:   "inspect DIR|FILE…",
		Short: "Say what credentials are, and until when they hold",
		Example: `  gatepass inspect ./id
  gatepass inspect --format json ./id/key-cert.pub`,
		Args: func(_ *command.Command, args []string) error {
			if len(args) == 0 {
				return failure.New(failure.Usage, "no directory or file is named").Hint("use `gatepass inspect ./id`")
			}
			return nil
		},
	}
	bindFormat(cmd.Flags(), &format)
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file with the password of PKCS#12 files (default: keystore.password beside them)")
	cmd.Run = func(_ context.Context, args []string) error {
		if err := checkFormat(format); err != nil {
			return err
		}
		all := []credentials.Credential{}
		for _, path := range args {
			found, err := credentials.Inspect(path, passwordFile, env.Now())
			if err != nil {
				return failure.New(failure.Local, "%w", err).Hint("name the directory that was given to --destination, or a file in it")
			}
			all = append(all, found...)
		}
		for i := range all {
			if warning := all[i].Warning(); warning != "" {
				env.warn(failure.Clean(warning))
			}
		}
		if format == "json" {
			return writeJSON(env.Stdout, all)
		}
		for i := range all {
			all[i].Text(env.Stdout, env.colour(env.Stdout))
		}
		return nil
	}
	return cmd
}

func newLogout(env *Env) *command.Command {
	var format string
	cmd := &command.Command{
		Use:     "logout DIR",
		Short:   "Overwrite and remove the credentials in a directory",
		Example: "  gatepass logout ./id",
		Args: func(_ *command.Command, args []string) error {
			if len(args) != 1 {
				return failure.New(failure.Usage, "logout takes one directory").Hint("use `gatepass logout ./id`")
			}
			return nil
		},
	}
	bindFormat(cmd.Flags(), &format)
	cmd.Run = func(ctx context.Context, args []string) error {
		if err := checkFormat(format); err != nil {
			return err
		}
		path, err := credentials.ParsePath(args[0])
		if err != nil {
			return err
		}
		if path == "" {
			return failure.New(failure.Usage, "there is nothing to remove from memory").Hint("name the directory that was given to --destination")
		}
		removed, err := destination.Remove(ctx, path)
		if err != nil {
			return err
		}
		if len(removed.Foreign) > 0 {
			env.warn("left what gatepass did not write: " + failure.Clean(strings.Join(removed.Foreign, ", ")))
		}
		if format == "json" {
			return writeJSON(env.Stdout, removed)
		}
		if len(removed.Files) == 0 {
			fmt.Fprintf(env.Stdout, "no credentials in %s\n", removed.Path)
			return nil
		}
		fmt.Fprintf(env.Stdout, "removed %d files from %s\n", len(removed.Files), removed.Path)
		return nil
	}
	return cmd
}

func newVersion(env *Env) *command.Command {
	var format string
	cmd := &command.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  gatepass version --format json",
		Args:    noArgs,
	}
	bindFormat(cmd.Flags(), &format)
	cmd.Run = func(context.Context, []string) error {
		if err := checkFormat(format); err != nil {
			return err
		}
		if format == "json" {
			return writeJSON(env.Stdout, map[string]string{
				"version": env.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
			})
		}
		fmt.Fprintf(env.Stdout, "gatepass %s %s %s/%s\n", env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	}
	return cmd
}
