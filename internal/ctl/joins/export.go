package joins

import (
	"bufio"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
)

func (c *commands) joinsExportCommand() *cobra.Command {
	var (
		filter joinsFilter
		output string
	)
	cmd := &cobra.Command{
		Use:   "export",
		Short: "write records as JSON lines, oldest first",
		Long: `export writes one record a line, in JSON, oldest first, as it reads them: to standard
output, or to a file that is there when it is whole. The fields are in
docs/gatepassctl.md. Records have no ID tokens and no credentials.`,
		Example: "  gatepassctl joins export --since 2026-01-01 --until 2026-02-01 -o january.jsonl --stack gatepass",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := filter.query(c.Now())
			if err != nil {
				return err
			}
			q.OldestFirst = true
			b, err := c.Open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.Close()
			if err := filter.known(cmd.Context(), b.Store()); err != nil {
				return err
			}
			var damaged []*store.DamagedError
			write := func(w io.Writer) (err error) {
				damaged, err = exportJoins(w, b.Store().Joins(cmd.Context(), q))
				return err
			}
			if output == "" || output == "-" {
				err = write(c.Out)
			} else {
				err = ctl.ReplaceFile(output, 0o600, write)
			}
			return errors.Join(err, c.Damaged(damaged))
		},
	}
	filter.flags(cmd, c.Env)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this file, mode 0600, in place of one that is there")
	return cmd
}

// exportJoins writes records as they come. Those that are damaged are returned.
func exportJoins(w io.Writer, records func(func(store.Record, error) bool)) ([]*store.DamagedError, error) {
	var damaged []*store.DamagedError
	lines := bufio.NewWriter(w)
	for r, err := range records {
		if d, ok := errors.AsType[*store.DamagedError](err); ok {
			damaged = append(damaged, d)
			continue
		}
		if err != nil {
			return damaged, err
		}
		if err := writeLine(lines, r); err != nil {
			return damaged, err
		}
	}
	return damaged, lines.Flush()
}

// writeLine writes a record as stores keep it, in one line, save that what would move a
// terminal is escaped.
func writeLine(w io.Writer, r store.Record) error {
	line, err := store.EncodeRecord(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(words.EscapeJSON(line), '\n'))
	return err
}
