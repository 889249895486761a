package release

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"aead.dev/minisign"
)

// Keys are the public keys that may sign releases, of both kinds.
type Keys struct {
	minisign []minisign.PublicKey
	ecdsa    []*ecdsa.PublicKey
}

// ErrNoKeys says that there are not yet keys to verify by.
var ErrNoKeys = errors.New("this gatepassctl has no public keys of releases")

//go:embed keys
var pinned embed.FS

// Pinned are the public keys in the folder keys, which come from the ceremony of
// docs/release.md. Before it there are none.
func Pinned() (Keys, error) { return readKeys(pinned) }

func readKeys(files fs.FS) (keys Keys, err error) {
	names, err := fs.Glob(files, "keys/*.pub")
	if err != nil {
		return Keys{}, err
	}
	if len(names) == 0 {
		return Keys{}, ErrNoKeys
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return Keys{}, err
		}
		if err := keys.Add(text); err != nil {
			return Keys{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return keys, keys.Complete()
}

// Add adds a public key: the file that minisign writes, or an ECDSA P-256 key in PEM, as
// cosign and openssl write it.
func (k *Keys) Add(text []byte) error {
	switch {
	case strings.Contains(string(text), "PRIVATE KEY") || strings.Contains(string(text), "secret key"):
		return errors.New("this is a private key, which nobody but the maintainers may have; give the public one")
	case strings.HasPrefix(string(text), "-----BEGIN "):
		return k.addPEM(text)
	case strings.HasPrefix(string(text), "untrusted comment: "):
		return k.addMinisign(text)
	}
	return errors.New("this is neither a public key of minisign nor a PUBLIC KEY in PEM")
}

func (k *Keys) addPEM(text []byte) error {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" || len(block.Headers) > 0 || strings.TrimSpace(string(rest)) != "" {
		return errors.New("this is not one PUBLIC KEY in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return errors.New("this PUBLIC KEY cannot be read")
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return errors.New("this PUBLIC KEY is not of ECDSA with P-256")
	}
	k.ecdsa = append(k.ecdsa, key)
	return nil
}

func (k *Keys) addMinisign(text []byte) error {
	var key minisign.PublicKey
	_, line, _ := strings.Cut(string(text), "\n")
	if err := key.UnmarshalText(text); err != nil || key.String() != strings.TrimSuffix(line, "\n") {
		return errors.New("this is not a public key of minisign")
	}
	k.minisign = append(k.minisign, key)
	return nil
}

// Complete reports an error unless there is a key of each kind.
func (k Keys) Complete() error {
	switch {
	case len(k.minisign) == 0:
		return errors.New("there is no public key of minisign, and a release is verified by both kinds")
	case len(k.ecdsa) == 0:
		return errors.New("there is no public key of ECDSA, and a release is verified by both kinds")
	}
	return nil
}
