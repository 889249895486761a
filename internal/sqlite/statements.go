package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
)

// statements are prepared once: parsing SQL costs more than what most of it does.
// Each that writes is a transaction of its own, durable when Exec returns, except
// the ledger's; none returns rows, since SQLite would commit such a one only when its rows are closed.
type statements struct {
	resource, resourcesOf, issuers *sql.Stmt
	names, changedNames, changesOf *sql.Stmt
	keySet, keySets                *sql.Stmt
	uses, record, rotated          *sql.Stmt

	lease        *sql.Stmt
	keySetFailed *sql.Stmt
	revocations  *sql.Stmt

	// Within a transaction of the ledger.
	use, countAnswer, useAnswer *sql.Stmt
	putRecord                   *sql.Stmt
	savepoint, release          *sql.Stmt
}

func (s *Store) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		db   *sql.DB
		sql  string
	}{
		{&s.stmts.resource, s.read, selectResource},
		{&s.stmts.resourcesOf, s.read, selectResourcesOf},
		{&s.stmts.names, s.read, selectNames},
		{&s.stmts.changedNames, s.read, selectChangedNames},
		{&s.stmts.changesOf, s.read, selectChangesOf},
		{&s.stmts.issuers, s.read, selectIssuers},
		{&s.stmts.keySet, s.read, selectKeySet},
		{&s.stmts.keySets, s.read, selectKeySets},
		{&s.stmts.uses, s.read, selectUses},
		{&s.stmts.record, s.read, selectRecord},
		{&s.stmts.rotated, s.read, selectRotated},
		{&s.stmts.use, s.write, insertUse},
		{&s.stmts.countAnswer, s.write, countAnswer},
		{&s.stmts.useAnswer, s.write, selectUse},
		{&s.stmts.savepoint, s.write, savepoint},
		{&s.stmts.release, s.write, release},
		{&s.stmts.lease, s.write, upsertLease},
		{&s.stmts.putRecord, s.write, upsertRecord},
		{&s.stmts.keySetFailed, s.write, upsertKeySetFailure},
		{&s.stmts.revocations, s.read, selectRevocations},
	} {
		var err error
		if *p.stmt, err = p.db.PrepareContext(ctx, p.sql); err != nil {
			return fmt.Errorf("preparing %q: %w", p.sql, err)
		}
	}
	return nil
}

// changed runs a statement that writes and reports whether it changed anything, in the file
// that others find.
func (s *Store) changed(ctx context.Context, stmt *sql.Stmt, args ...any) (bool, error) {
	found, err := affected(stmt.ExecContext(ctx, args...))
	return found, cmp.Or(err, s.checkFiles())
}

// affected reports whether a statement changed anything.
func affected(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// short is the context of a read that takes no longer than to notice that its context
// has ended: to watch it costs database/sql and SQLite's driver a goroutine each. It
// is an error if ctx has ended already.
func short(ctx context.Context) (context.Context, error) {
	return context.WithoutCancel(ctx), ctx.Err()
}

// queryShort starts a short read, for collect.
func queryShort(ctx context.Context, stmt *sql.Stmt, args ...any) (*sql.Rows, error) {
	ctx, err := short(ctx)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// collect returns what scan makes of each row.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
