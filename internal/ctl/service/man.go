package service

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/gatepass-ci/gatepass/internal/cli"
	client "github.com/gatepass-ci/gatepass/internal/client/commands"
	"github.com/gatepass-ci/gatepass/internal/ctl"
)

func (c *commands) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "write the manual pages of gatepassctl and gatepass",
		Long: `man writes a page for each command of both programs into a directory, which is made
if it is missing. SOURCE_DATE_EPOCH sets the date that they bear.`,
		Example: "  gatepassctl man ./man1\n  sudo gatepassctl man /usr/local/share/man/man1",
		Args:    cli.Exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return cli.Failed("%w", err).Hint("name a directory")
			}
			for _, root := range []*cobra.Command{cmd.Root(), client.Tree()} {
				disableFooter(root)
				header := &doc.GenManHeader{Section: "1", Source: "Gatepass " + c.Version, Manual: "Gatepass"}
				if err := doc.GenManTree(root, header, args[0]); err != nil {
					return fmt.Errorf("writing the pages of %s: %w", root.Name(), err)
				}
			}
			pages, err := filepath.Glob(filepath.Join(args[0], "gatepass*.1"))
			if err != nil {
				return err
			}
			return c.Print(map[string]any{"directory": args[0], "pages": len(pages)}, func() {
				fmt.Fprintf(c.Out, "%s in %s\n", ctl.Plural(len(pages), "page", "pages"), args[0])
			})
		},
	}
}

// disableFooter leaves out that, and when, a page was made.
func disableFooter(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	for _, sub := range cmd.Commands() {
		disableFooter(sub)
	}
}
