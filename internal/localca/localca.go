// Package localca keeps the authorities of the embedded server in key files:
// PURPOSE.key (PKCS#8, PEM, 0600) and, for an X.509 authority, PURPOSE.crt, in a
// folder of 0700. They are made when they are first needed, once, even if
// several processes start at the same time. A rotation adds PURPOSE-ID.key, and the
// store then says which of the keys is used how (internal/authority). The layout is
// in docs/certificates.md.
package localca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Options say how to open the authorities. The zero value makes those that are missing.
type Options struct {
	// ReadOnly opens only what exists and writes nothing. A purpose without a
	// key is then one without an authority.
	ReadOnly bool
	// Rotated says which keys the authorities have that were rotated; nil means that
	// none was.
	Rotated authority.Reader
	// Known are the keys that the store remembers of authorities that were never rotated,
	// as PublicSum gives them: a key that is missing, or is another one, is an error,
	// authority.ErrApart, and none is made in its place.
	Known map[cert.Purpose]string
	// Anew puts a certificate aside whose key is missing, and makes a new key.
	Anew bool
	// Now is the clock for new certificates; nil means time.Now.
	Now func() time.Time
}

// complete has the clock that o leaves open.
func (o Options) complete() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Authorities are the authorities of one folder. It is safe for concurrent use.
type Authorities struct {
	dir string
	o   Options

	mu        sync.RWMutex
	began     time.Time // of the reading that is in force
	byPurpose map[cert.Purpose]*authority.Authority
	revisions map[cert.Purpose]string // of the rotated ones
	failure   error                   // of the last reading
}

var _ authority.Authorities = (*Authorities)(nil)

// Open reads the authorities in dir, normally "authorities" in the data
// directory, and makes dir and those that are missing unless o.ReadOnly; the
// folder that dir is in must exist. A file that anyone else could read, that is
// no regular file, or does not hold what it should is an error that names it and
// says what to do. With o.ReadOnly, an error that is fs.ErrNotExist says that
// there are no authorities yet.
func Open(ctx context.Context, dir string, o Options) (*Authorities, error) {
	all := &Authorities{dir: dir, o: o.complete()}
	err := all.refresh(ctx)
	if err != nil {
		return nil, err
	}
	if len(all.byPurpose) == 0 {
		return nil, noneYet(dir, fs.ErrNotExist)
	}
	// From now on none is made: a key that goes while this process runs was lost.
	all.o.Anew = false
	all.o.Known, err = all.First()
	return all, err
}

// Authority returns the authority of a purpose; authority.ErrNone if there is none.
func (a *Authorities) Authority(_ context.Context, p cert.Purpose) (*authority.Authority, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	found, ok := a.byPurpose[p]
	switch {
	case !ok:
		return nil, fmt.Errorf("authority %s: %w", p, authority.ErrNone)
	case a.failure != nil:
		return nil, fmt.Errorf("authority %s: %w", p, a.failure)
	}
	return found, nil
}

// noneYet says that nobody has made authorities in dir.
func noneYet(dir string, cause error) error {
	return fmt.Errorf("there are no authorities in %s yet: %w", dir, cause)
}

// authority reads an authority that was never rotated, and makes what is missing of
// it unless o.ReadOnly. It fails with fs.ErrNotExist if there is no key and none is made.
func (f *folder) authority(p cert.Purpose, o Options) (*authority.Authority, error) {
	if err := f.checkNeverRotated(p); err != nil {
		return nil, err
	}
	known, isKnown := o.Known[p]
	if _, err := f.root.Lstat(string(p) + ".key"); isKnown && errors.Is(err, fs.ErrNotExist) {
		return nil, f.lost("%s is missing, and the store knows it", f.path(string(p)+".key"))
	}
	key, err := f.key(string(p), o)
	if err != nil {
		return nil, err
	}
	sum, err := PublicSum(key.Public())
	if err != nil {
		return nil, err
	}
	if isKnown && sum != known {
		return nil, f.lost("%s is another key than the one that the store knows", f.path(string(p)+".key"))
	}
	a := &authority.Authority{Purpose: p}
	return a, f.add(a, string(p), key, true, o)
}

// lost says that a key is not what the store knows, and what to do.
func (f *folder) lost(format string, args ...any) error {
	return fmt.Errorf("%w: %s; restore the whole directory from one backup, or take it as it is, with a new key that no server trusts yet in place of one that is missing: gatepassctl serve --data %s --new",
		authority.ErrApart, fmt.Sprintf(format, args...), words.ShellWord(filepath.Dir(f.dir)))
}

// PublicSum is what tells keys apart: SHA-256 of the public half (PKIX), in lower-case
// hexadecimal.
func PublicSum(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// First returns the keys of the authorities that were never rotated, as Options.Known
// has them.
func (a *Authorities) First() (map[cert.Purpose]string, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	first := make(map[cert.Purpose]string)
	for p, found := range a.byPurpose {
		if _, rotated := a.revisions[p]; rotated {
			continue
		}
		sum, err := PublicSum(found.Signer.Public())
		if err != nil {
			return nil, err
		}
		first[p] = sum
	}
	return first, nil
}

// HasKeys tells whether there are keys in dir, of whatever authority and state.
func HasKeys(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return strings.HasSuffix(strings.TrimSuffix(e.Name(), retired), ".key")
	}), err
}

// add adds a key of this name, with its certificate if it is of an X.509 authority.
func (f *folder) add(a *authority.Authority, id string, key *ecdsa.PrivateKey, signs bool, o Options) error {
	if !a.Purpose.IsX509() {
		a.Add(signs, key, nil)
		return nil
	}
	c, err := f.certificate(a.Purpose, id, key, o)
	if err == nil {
		a.Add(signs, key, c)
	}
	return err
}

// certificate reads the certificate of key, beside the key's file of this name. One
// that is missing is made: it says nothing that does not follow from the key, so
// servers that trust an earlier one accept what the key signs all the same.
func (f *folder) certificate(p cert.Purpose, id string, key crypto.Signer, o Options) (*x509.Certificate, error) {
	name := id + ".crt"
	text, err := f.read(name, anyoneMayRead)
	if errors.Is(err, fs.ErrNotExist) && !o.ReadOnly {
		var made *x509.Certificate
		if made, err = cert.NewX509Authority(rand.Reader, key, p, o.Now()); err != nil {
			return nil, err
		}
		if err = f.create(name, []byte(cert.CertificatePEM(made))); err == nil {
			text, err = f.read(name, anyoneMayRead)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		// Not fs.ErrNotExist to the caller: the authority exists, its certificate does not.
		return nil, fmt.Errorf("%s is missing beside its key; start the server once to have it made again", f.path(name))
	}
	if err != nil {
		return nil, err
	}
	c, err := cert.ParseX509Authority(string(text), key.Public(), p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; restore it from a backup, or remove it and start the server to have it made again", f.path(name), err)
	}
	return c, nil
}
