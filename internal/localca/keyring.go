package localca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
)

// KeyRing makes and retires the key files of a folder.
type KeyRing struct {
	dir string
	o   Options
}

var _ authority.KeyRing = (*KeyRing)(nil)

// NewKeyRing returns the key ring of a folder. Of o, the clock counts.
func NewKeyRing(dir string, o Options) *KeyRing {
	return &KeyRing{dir: dir, o: o.complete()}
}

// First implements authority.KeyRing.
func (r *KeyRing) First(_ context.Context, p cert.Purpose) (string, crypto.PublicKey, error) {
	f, err := openFolder(r.dir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("authority %s: %w", p, authority.ErrNone)
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	if err := f.checkNeverRotated(p); err != nil {
		return "", nil, err
	}
	key, err := f.key(string(p), Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("authority %s: %w", p, authority.ErrNone)
	}
	if err != nil {
		return "", nil, err
	}
	return string(p), key.Public(), nil
}

// Make implements authority.KeyRing.
func (r *KeyRing) Make(_ context.Context, a authority.State) (string, crypto.PublicKey, error) {
	f, err := openFolder(r.dir, false)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	id, key, err := f.leftOver(a)
	if err == nil && key == nil {
		id, key, err = f.makeKey(a.Purpose)
	}
	if err == nil && a.Purpose.IsX509() {
		_, err = f.certificate(a.Purpose, id, key, r.o)
	}
	if err != nil {
		return "", nil, err
	}
	return id, key.Public(), nil
}

// leftOver returns a key that was made for this authority and that it does not
// know; nil if there is none. Nobody else can have put one into the folder.
func (f *folder) leftOver(a authority.State) (string, *ecdsa.PrivateKey, error) {
	names, err := f.names()
	if err != nil {
		return "", nil, err
	}
	for _, name := range names {
		id, isKey := strings.CutSuffix(name, ".key")
		if isKey && isKeyName(a.Purpose, id) && !a.Has(id) {
			key, err := f.key(id, Options{ReadOnly: true})
			return id, key, err
		}
	}
	return "", nil, nil
}

func (f *folder) makeKey(p cert.Purpose) (string, *ecdsa.PrivateKey, error) {
	key, text, err := newKey()
	if err != nil {
		return "", nil, err
	}
	id, err := keyName(p, &key.PublicKey)
	if err != nil {
		return "", nil, err
	}
	return id, key, f.create(id+".key", text)
}

// Retire implements authority.KeyRing: it puts the key's files aside, under names from
// which no key is read.
func (r *KeyRing) Retire(_ context.Context, id string) (string, error) {
	if !slices.ContainsFunc(cert.Purposes(), func(p cert.Purpose) bool { return isKeyName(p, id) }) {
		return "", fmt.Errorf("%q is no name of a key file", id)
	}
	f, err := openFolder(r.dir, false)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// The certificate first: one that is there without its key is refused at a start.
	for _, name := range []string{id + ".crt", id + ".key"} {
		if err := ignoreMissing(f.root.Rename(name, name+retired)); err != nil {
			return "", fmt.Errorf("putting %s aside: %w", f.path(name), err)
		}
	}
	if _, err := f.root.Lstat(id + ".key" + retired); err != nil {
		return "", ignoreMissing(err)
	}
	return f.path(id + ".key" + retired), f.sync()
}
