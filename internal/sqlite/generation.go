package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/owned"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// generation is what a database and the mark beside the keys have in common. The database
// is written first: it may be ahead of the mark, and is never behind it unless it was
// exchanged for an older copy. docs/decisions/0030-lost-databases.md says why.
type generation struct {
	ID     string `json:"id"`
	Number int64  `json:"number"`
}

const (
	selectGeneration = `SELECT id, number FROM generation`
	advance          = `UPDATE generation SET number = number + 1`
	beginGeneration  = `UPDATE generation SET id = ?1, number = 1`
)

// maxMark bounds the file of the mark, in bytes.
const maxMark = 4 << 10

// querier is a transaction, or connections.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// CheckGeneration returns an error, authority.ErrApart, unless the database is the one that
// the keys beside it know, and not older than they know it.
func (s *Store) CheckGeneration(ctx context.Context) error {
	if s.mark == "" {
		return nil
	}
	return s.checkGeneration(ctx, s.read)
}

func (s *Store) checkGeneration(ctx context.Context, from querier) error {
	if s.mark == "" {
		return nil
	}
	marked, err := s.readMark() // before the database, which may go ahead meanwhile
	if err != nil {
		return err
	}
	var stored generation
	if err := from.QueryRowContext(ctx, selectGeneration).Scan(&stored.ID, &stored.Number); err != nil {
		return s.fail(ctx, "reading the generation of the store", err)
	}
	switch {
	case marked == generation{}:
		known, err := knownKeys(ctx, from)
		if err != nil || len(known) == 0 { // a first start that was cut off, or is under way
			return s.fail(ctx, "reading which keys are known", err)
		}
		if marked, err := s.readMark(); err != nil || marked.ID == stored.ID {
			return err // a first start wrote it meanwhile, and then the keys
		}
		return s.apart("%s is missing, by which the keys and %s know each other", s.mark, FileName)
	case marked.ID != stored.ID:
		return s.apart("%s in %s is another database than the one that the keys beside it belong to", FileName, s.dir)
	case marked.Number > stored.Number:
		return s.apart("%s in %s is older than the keys beside it know it (change %d, and %d were stored): it lacks locks, revocations or used ID tokens", FileName, s.dir, stored.Number, marked.Number)
	}
	return nil
}

// apart says that keys and database do not belong together, and what to do.
func (s *Store) apart(format string, args ...any) error {
	return fmt.Errorf("%w: %s; restore the whole directory from one backup, or take it as it is with: gatepassctl serve --data %s --new",
		authority.ErrApart, fmt.Sprintf(format, args...), words.ShellWord(s.dir))
}

// readMark returns the mark beside the keys, and the zero generation if there is none.
func (s *Store) readMark() (marked generation, err error) {
	body, err := os.ReadFile(s.mark)
	if errors.Is(err, fs.ErrNotExist) {
		return generation{}, nil
	}
	if err != nil {
		return generation{}, fmt.Errorf("reading the mark of the store: %w", err)
	}
	if len(body) > maxMark || json.Unmarshal(body, &marked) != nil || marked.ID == "" || marked.Number < 1 {
		return generation{}, s.apart("%s is damaged, by which the keys and %s know each other", s.mark, FileName)
	}
	return marked, nil
}

// writeMark makes the mark say what the database says, durably. It holds the database
// meanwhile, so that no older mark replaces a newer one. A database that is no longer the
// one in the directory has no say: the mark there may be that of a backup.
func (s *Store) writeMark(ctx context.Context) error {
	if s.mark == "" {
		return nil
	}
	tx, err := s.write.BeginTx(ctx, nil) // takes the lock of writers
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.checkFiles(); err != nil {
		return err
	}
	var stored generation
	if err := tx.QueryRowContext(ctx, selectGeneration).Scan(&stored.ID, &stored.Number); err != nil {
		return err
	}
	if marked, err := s.readMark(); err == nil && marked == stored {
		return nil
	}
	body, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	return replaceFile(s.mark, append(body, '\n'))
}

// catchUp brings the mark up to what was just stored. A store that no server has begun to
// serve has no mark yet.
func (s *Store) catchUp(ctx context.Context) error {
	if s.mark == "" {
		return nil
	}
	if marked, err := s.readMark(); err != nil || marked == (generation{}) {
		return err
	}
	if err := s.writeMark(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("the change is stored, but not its mark in %s: %w", s.mark, err)
	}
	return nil
}

// Advance marks what joins stored since it was last called, so that a copy of the
// database from before is noticed.
func (s *Store) Advance(ctx context.Context) error {
	if s.mark == "" || !s.ledger.used.Swap(false) {
		return nil
	}
	_, err := s.write.ExecContext(ctx, advance)
	if err == nil {
		err = s.writeMark(ctx)
	}
	if err != nil {
		s.ledger.used.Store(true)
	}
	return s.fail(ctx, "marking what was stored", err)
}

// BeginAnew takes the database for the one that belongs to the keys beside it, whatever it
// is, and forgets which keys those are. KnowKeys must follow.
func (s *Store) BeginAnew(ctx context.Context) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.fail(ctx, "beginning anew", err)
	}
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, beginGeneration, strings.ToLower(rand.Text()))
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM known_keys`)
	}
	if err == nil {
		err = tx.Commit()
	}
	return s.fail(ctx, "beginning anew", err)
}

// KnownKeys returns the keys that KnowKeys stored.
func (s *Store) KnownKeys(ctx context.Context) (map[cert.Purpose]string, error) {
	known, err := knownKeys(ctx, s.read)
	return known, s.fail(ctx, "reading which keys are known", err)
}

func knownKeys(ctx context.Context, from querier) (map[cert.Purpose]string, error) {
	known := make(map[cert.Purpose]string)
	rows, err := from.QueryContext(ctx, `SELECT authority, sha256 FROM known_keys`)
	_, err = collect(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var p, sum string
		err := rows.Scan(&p, &sum)
		known[cert.Purpose(p)] = sum
		return struct{}{}, err
	})
	return known, err
}

// KnowKeys remembers the keys that are beside the database, each as SHA-256 of its public
// half, and writes the mark. From then on a key that is missing is one that was lost. The
// mark comes first: keys that are known and no mark are not of a start that was cut off.
func (s *Store) KnowKeys(ctx context.Context, keys map[cert.Purpose]string) error {
	const doing = "marking the keys"
	if err := s.writeMark(ctx); err != nil {
		return s.fail(ctx, doing, err)
	}
	known, err := s.KnownKeys(ctx)
	if err != nil || maps.Equal(known, keys) {
		return err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.fail(ctx, doing, err)
	}
	defer tx.Rollback()
	for p, sum := range keys {
		if _, err := tx.ExecContext(ctx, `INSERT INTO known_keys VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sha256 = ?2`, string(p), sum); err != nil {
			return s.fail(ctx, doing, err)
		}
	}
	return s.fail(ctx, doing, tx.Commit())
}

// replaceFile writes a file whole and durably, in place of one that is there. It belongs to
// the owner of the directory.
func replaceFile(path string, body []byte) error {
	dir := filepath.Dir(path)
	where, err := os.Stat(dir)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	if _, err = tmp.Write(body); err == nil {
		err = owned.Like(tmp, where)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(dir)
}
