package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// applicationID marks a database as ours (https://www.sqlite.org/pragma.html#pragma_application_id).
const applicationID = 0x47506173 // "GPas"

// schema holds the steps from an empty database to the present one. A step that
// was released is never changed; a change is another step.
//
//go:embed schema/*.sql
var schema embed.FS

// migrations returns the steps in order: the database's version is how many were taken.
func migrations() ([]string, error) {
	names, err := fs.Glob(schema, "schema/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	steps := make([]string, len(names))
	for i, name := range names {
		step, err := schema.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps[i] = string(step)
	}
	return steps, nil
}

// migrate takes the steps that a database lacks, all of them or none.
func migrate(ctx context.Context, db *sql.DB, steps []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	version, err := checkVersion(ctx, tx, len(steps))
	if err != nil {
		return err
	}
	for i := version; i < len(steps); i++ {
		if _, err := tx.ExecContext(ctx, steps[i]); err != nil {
			return fmt.Errorf("bringing the database to version %d: %w", i+1, err)
		}
	}
	mark := fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, len(steps))
	// This fails if the database cannot be written, which BEGIN IMMEDIATE does not.
	if _, err := tx.ExecContext(ctx, mark); err != nil || version == len(steps) {
		return err
	}
	return tx.Commit()
}

// checkVersion returns the database's version, and an error if it is newer than
// the newest known or not ours.
func checkVersion(ctx context.Context, tx *sql.Tx, newest int) (int, error) {
	var version, application, objects int
	err := errors.Join(
		tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version),
		tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application),
		tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects))
	switch empty := version == 0 && application == 0 && objects == 0; {
	case err != nil:
		return 0, err
	case !empty && application != applicationID:
		return 0, errors.New("the database belongs to another program: choose another data directory")
	case version > newest:
		return 0, fmt.Errorf("the database has version %d and this program knows versions up to %d: "+
			"upgrade gatepassctl to the one that wrote it", version, newest)
	}
	return version, nil
}
