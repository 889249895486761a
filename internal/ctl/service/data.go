package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// openData opens the store and the keys in the data directory. Both are made in a directory
// that has neither. Where one was lost, or is not what the other knows, nothing is served
// unless Config.New says to take it as it is.
func openData(ctx context.Context, c Config) (*sqlite.Store, *localca.Authorities, error) {
	keys := filepath.Join(c.Data, ctl.AuthoritiesDir)
	hasKeys, err := localca.HasKeys(keys)
	if err != nil {
		return nil, nil, err
	}
	_, err = os.Lstat(ctl.MarkFile(c.Data))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	fresh := !hasKeys && err != nil
	store, authorities, err := openBoth(ctx, c, fresh, false)
	if errors.Is(err, sqlite.ErrNoData) && !fresh {
		err = fmt.Errorf("%w: there are keys in %s, and no database beside them: %w; restore the whole directory from one backup, or begin with an empty database by: gatepassctl serve --data %s --new",
			authority.ErrApart, keys, err, words.ShellWord(c.Data))
	}
	switch {
	case !c.New || fresh && err == nil:
		return store, authorities, err
	case err == nil:
		return nil, nil, errors.Join(fmt.Errorf("nothing is missing in %s, so there is nothing to begin anew: start it without --new, and leave that out of what starts the server", c.Data), store.Close())
	case !errors.Is(err, authority.ErrApart):
		return nil, nil, err
	}
	c.Log.WarnContext(ctx, "the data directory is taken as it is, as --new says", "data", c.Data, "cause", err.Error())
	return openBoth(ctx, c, true, true)
}

// openBoth opens the store and the keys, and marks that they belong together.
func openBoth(ctx context.Context, c Config, mayBegin, anew bool) (_ *sqlite.Store, _ *localca.Authorities, err error) {
	store, err := sqlite.Open(ctx, c.Data, sqlite.Options{MustExist: !mayBegin, Mark: ctl.MarkFile(c.Data)})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if anew {
		err = store.BeginAnew(ctx)
	} else {
		err = store.CheckGeneration(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	known, err := store.KnownKeys(ctx)
	if err != nil {
		return nil, nil, err
	}
	authorities, err := localca.Open(ctx, filepath.Join(c.Data, ctl.AuthoritiesDir), localca.Options{Rotated: store, Now: c.Now, Known: known, Anew: anew})
	if err != nil {
		return nil, nil, err
	}
	first, err := authorities.First()
	if err == nil {
		err = store.KnowKeys(ctx, first)
	}
	if err == nil {
		err = checkDamage(ctx, c, store)
	}
	return store, authorities, err
}

// checkDamage refuses a database that is damaged: uses and locks may be lost with it. A
// record that cannot be read stops no job, and is logged.
func checkDamage(ctx context.Context, c Config, store *sqlite.Store) error {
	found, err := store.FindDamage(ctx, sqlite.CheckedBytes)
	if err != nil {
		return err
	}
	for _, err := range found.Records {
		c.Log.ErrorContext(ctx, "a record is damaged; see gatepassctl status", "cause", err.Error())
	}
	if found.Unchecked {
		c.Log.InfoContext(ctx, "the database is large, and only its newest records were checked; see gatepassctl status --whole")
	}
	return errors.Join(found.Database...)
}
