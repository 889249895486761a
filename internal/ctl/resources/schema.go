package resources

import (
	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/assist"
)

func (c *commands) schemaCommand() *cobra.Command {
	var cases bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of resources, for editors",
		Long: `schema prints the JSON Schema (draft-07) of bots, token rules, roles and locks, or of
the cases of gatepassctl test. An editor with the YAML language server takes it from
the first line of a file:

  # yaml-language-server: $schema=` + assist.ResourcesURL,
		Example: "  gatepassctl schema > gatepass.schema.json\n  gatepassctl schema --cases > gatepass-cases.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := assist.Resources()
			if cases {
				text, err = assist.Cases()
			}
			if err != nil {
				return err
			}
			_, err = c.Out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&cases, "cases", false, "the schema of files of cases instead")
	return cmd
}
