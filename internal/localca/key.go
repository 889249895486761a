package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// keyType is the PEM label of PKCS#8 (RFC 7468 §10).
const keyType = "PRIVATE KEY"

// key reads the key of this name, and makes one if there is none and o allows it.
func (f *folder) key(id string, o Options) (*ecdsa.PrivateKey, error) {
	name := id + ".key"
	// Looked for first: a certificate appears after its key, so one that is there
	// now has a key, unless that was lost.
	_, orphan := f.root.Lstat(id + ".crt")
	text, err := f.read(name, ownerMayRead)
	if errors.Is(err, fs.ErrNotExist) && orphan == nil && o.Anew {
		if err := f.root.Rename(id+".crt", id+".crt"+retired); err != nil {
			return nil, fmt.Errorf("putting %s aside: %w", f.path(id+".crt"), err)
		}
		orphan = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) && orphan == nil {
		return nil, fmt.Errorf("%s is missing beside its certificate; restore it from a backup, or remove %s to begin a new authority, which no server trusts yet",
			f.path(name), f.path(id+".crt"))
	}
	if errors.Is(err, fs.ErrNotExist) && !o.ReadOnly {
		var made []byte
		if _, made, err = newKey(); err != nil {
			return nil, fmt.Errorf("making the key %s: %w", f.path(name), err)
		}
		// Another process may be first. What is on disk is what both use.
		if err = f.create(name, made); err == nil {
			text, err = f.read(name, ownerMayRead)
		}
	}
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; restore it from a backup (a new key would be one that no server trusts)", f.path(name), err)
	}
	return key, nil
}

// newKey returns a key and the file that holds it.
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der}), nil
}

// parseKey reads a file that is one PEM block and nothing else. Its errors never
// hold any of it.
func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	begin := "-----BEGIN " + keyType + "-----"
	block, rest := pem.Decode(text)
	if block == nil || block.Type != keyType || len(block.Headers) > 0 || len(rest) > 0 ||
		!strings.HasPrefix(string(text), begin) || strings.Count(string(text), "-----BEGIN") != 1 {
		return nil, fmt.Errorf("it is not one PEM block %q; the file is cut off or was changed", begin)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its key cannot be read; the file is cut off or was changed")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("its key is not ECDSA P-256, as the key of an authority must be")
	}
	return key, nil
}
