package service

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/demo"
)

func (c *commands) demoCommand() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "show everything on this machine: two CIs, the service, an SSH login, a refusal",
		Long: `demo starts two issuers that mint tokens as Bitbucket Pipelines and CircleCI do,
the join service and this machine's sshd, all on loopback addresses and in a
temporary folder; runs the commands of a pipeline; and shows a join that is
refused. Without OpenSSH it shows what a server would see, instead of a login.
It leaves nothing behind.`,
		Example: "  gatepassctl demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if client == "" {
				client = filepath.Join(filepath.Dir(self), "gatepass")
			}
			if _, err := os.Stat(client); errors.Is(err, fs.ErrNotExist) {
				return cli.Failed("%s does not exist", client).Hint("build both commands with make build, or name the client with --gatepass")
			}
			bold := c.Style(c.Out).Bold
			return demo.Run(cmd.Context(), demo.Config{Gatepass: client, Gatepassctl: self, Out: c.Out, Bold: bold})
		},
	}
	cmd.Flags().StringVar(&client, "gatepass", "", "path of the client (default beside this command)")
	return cmd
}
