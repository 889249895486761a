package localca

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
)

// retired ends the name of a file whose key is past.
const retired = ".retired"

// Prepare implements authority.Authorities: what the store says of the keys now is in force
// when it returns. While the store cannot be read no authority signs.
func (a *Authorities) Prepare(ctx context.Context) {
	if a.o.Rotated == nil {
		return
	}
	// Whose caller has gone says nothing of the store.
	if err := a.refresh(ctx); err != nil && ctx.Err() == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.failure = err
	}
}

// unchanged tells whether what is stored is in force.
func (a *Authorities) unchanged(stored []authority.Stored) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.byPurpose != nil && a.failure == nil && len(stored) == len(a.revisions) &&
		!slices.ContainsFunc(stored, func(s authority.Stored) bool { return a.revisions[s.Purpose] != s.Revision })
}

// refresh reads the store, if there is one, and puts what it says in force.
func (a *Authorities) refresh(ctx context.Context) error {
	began := time.Now()
	var stored []authority.Stored
	if a.o.Rotated != nil {
		var err error
		if stored, err = a.o.Rotated.RotatedAuthorities(ctx); err != nil {
			return err
		}
	}
	if a.unchanged(stored) {
		return nil
	}
	return a.install(ctx, began, stored)
}

// install reads the keys that stored names and puts them in force, unless a reading
// that began later has been faster.
func (a *Authorities) install(ctx context.Context, began time.Time, stored []authority.Stored) error {
	byPurpose, err := a.readKeys(stored)
	// A key that was retired since the store was read is no longer under its name.
	if errors.Is(err, errGone) {
		if stored, err = a.o.Rotated.RotatedAuthorities(ctx); err == nil {
			byPurpose, err = a.readKeys(stored)
		}
	}
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if began.Before(a.began) {
		return nil
	}
	a.began, a.byPurpose, a.failure = began, byPurpose, nil
	a.revisions = make(map[cert.Purpose]string, len(stored))
	for _, s := range stored {
		a.revisions[s.Purpose] = s.Revision
	}
	return nil
}

// errGone says that the key of a rotated authority has no file.
var errGone = errors.New("its file is missing")

// gone says what became of a key's file.
func (f *folder) gone(id string) error {
	name := id + ".key"
	if _, err := f.root.Lstat(name + retired); err == nil {
		return fmt.Errorf("%s: %w: the key was retired, and gatepass.db is older than that; restore it from the backup that the key files are of", f.path(name), errGone)
	}
	return fmt.Errorf("%s: %w; restore it from a backup", f.path(name), errGone)
}

func (a *Authorities) readKeys(stored []authority.Stored) (map[cert.Purpose]*authority.Authority, error) {
	f, err := openFolder(a.dir, !a.o.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	byPurpose := map[cert.Purpose]*authority.Authority{}
	for _, p := range cert.Purposes() {
		i := slices.IndexFunc(stored, func(s authority.Stored) bool { return s.Purpose == p })
		if i >= 0 {
			byPurpose[p], err = f.rotated(stored[i].State, a.o)
		} else {
			byPurpose[p], err = f.authority(p, a.o)
		}
		if i < 0 && a.o.ReadOnly && errors.Is(err, fs.ErrNotExist) {
			delete(byPurpose, p)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return byPurpose, f.checkOwn(byPurpose)
}

// checkOwn refuses a key of two authorities, such as one file that was copied over
// another: what one of them signs would pass wherever the other is trusted.
func (f *folder) checkOwn(byPurpose map[cert.Purpose]*authority.Authority) error {
	owner := map[string]cert.Purpose{}
	for _, p := range cert.Purposes() {
		if byPurpose[p] == nil {
			continue
		}
		for _, key := range byPurpose[p].TrustedKeys {
			der, err := x509.MarshalPKIXPublicKey(key)
			if err != nil {
				return err
			}
			if other, ok := owner[string(der)]; ok {
				return fmt.Errorf("in %s the authorities %s and %s have the same key; one key is of one authority: restore their key files from a backup", f.dir, other, p)
			}
			owner[string(der)] = p
		}
	}
	return nil
}

// rotated reads an authority of which the store says which keys it has. None of
// them is made here.
func (f *folder) rotated(r authority.State, o Options) (*authority.Authority, error) {
	a := &authority.Authority{Purpose: r.Purpose}
	for i, k := range r.InUse() {
		if !isKeyName(r.Purpose, k.ID) {
			return nil, fmt.Errorf("the authority %s has a key %q, which is no name of a key file of it", r.Purpose, k.ID)
		}
		key, err := f.key(k.ID, Options{ReadOnly: true})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, f.gone(k.ID)
		}
		if err != nil {
			return nil, err
		}
		if !k.Is(key.Public()) {
			return nil, fmt.Errorf("%s is not the key that the store says it is; restore it from a backup", f.path(k.ID+".key"))
		}
		if err := f.add(a, k.ID, key, i == 0, o); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// checkNeverRotated refuses an authority whose files tell of a rotation and of which
// the store knows nothing: it was lost, or is older. To go by the first key would be
// to sign by one that servers may no longer trust, or to make a new one.
func (f *folder) checkNeverRotated(p cert.Purpose) error {
	names, err := f.names()
	if err != nil {
		return err
	}
	if _, err := f.root.Lstat(string(p) + ".key"); err == nil && !slices.ContainsFunc(names, func(n string) bool { return n == string(p)+".key"+retired }) {
		return nil // what else is there may be of a rotation that was cut off before it was stored
	}
	for _, name := range names {
		id, isKey := strings.CutSuffix(strings.TrimSuffix(name, retired), ".key")
		if isKey && isKeyName(p, id) && name != string(p)+".key" {
			return fmt.Errorf("%s tells of a rotation of the authority %s that the store does not know; restore gatepass.db from the backup that the key files are of, or to begin anew with other keys move %s away first", f.path(name), p, f.dir)
		}
	}
	return nil
}

// names are the names of all files in the folder.
func (f *folder) names() ([]string, error) {
	self, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	names, err := self.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// keyName names the file of a new key: the purpose, and what tells it from others.
func keyName(p cert.Purpose, public *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return fmt.Sprintf("%s-%x", p, sum[:8]), nil
}

// isKeyName tells whether id is a name that keyName gives, or that of the first key.
func isKeyName(p cert.Purpose, id string) bool {
	tail, ok := strings.CutPrefix(id, string(p)+"-")
	return id == string(p) || ok && len(tail) == 16 && strings.Trim(tail, "0123456789abcdef") == ""
}
