package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Algorithms of keys: RSA of 2048 bits, and P-256.
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// FirstKeyID is the kid of the key that an Issuer begins with.
const FirstKeyID = "key-1"

type key struct {
	kid, alg string
	signer   crypto.Signer
}

// keyRing holds the published keys. The last one added signs.
type keyRing struct {
	mu   sync.Mutex
	keys []key
}

func newKeyRing(alg string) (*keyRing, error) {
	k, err := newKey(FirstKeyID, alg)
	if err != nil {
		return nil, err
	}
	return &keyRing{keys: []key{k}}, nil
}

func newKey(kid, alg string) (key, error) {
	var signer crypto.Signer
	var err error
	switch alg {
	case RS256:
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("algorithm %q: write RS256 or ES256", alg)
	}
	if err != nil {
		return key{}, fmt.Errorf("making key %q: %w", kid, err)
	}
	return key{kid, alg, signer}, nil
}

// sign returns the compact JWS of header and payload as they stand.
func (k key) sign(header, payload []byte) (string, error) {
	input := encode(header) + "." + encode(payload)
	signature, err := jwt.GetSigningMethod(k.alg).Sign(input, k.signer)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return input + "." + encode(signature), nil
}

func (k key) jwk() (jwkset.JWKMarshal, error) {
	j, err := jwkset.NewJWKFromKey(k.signer.Public(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: k.kid, ALG: jwkset.ALG(k.alg), USE: jwkset.UseSig},
	})
	return j.Marshal(), err
}

// AddKey publishes another key, which signs from now on. kid may be one that a
// key of the other algorithm has.
func (i *Issuer) AddKey(kid, alg string) error {
	k, err := newKey(kid, alg)
	if err != nil {
		return err
	}
	r := i.keys
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.keys, func(old key) bool { return old.kid == kid && old.alg == alg }) {
		return fmt.Errorf("there is a key %q for %s already", kid, alg)
	}
	r.keys = append(r.keys, k)
	return nil
}

// RemoveKey withdraws all keys with this kid. The last one left signs; with
// none left, nothing can be minted.
func (i *Issuer) RemoveKey(kid string) {
	r := i.keys
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.DeleteFunc(r.keys, func(k key) bool { return k.kid == kid })
}

// Rotate replaces all keys by a new one of the first's algorithm.
func (i *Issuer) Rotate(kid string) error {
	k, err := newKey(kid, i.config.Algorithm)
	if err != nil {
		return err
	}
	r := i.keys
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = []key{k}
	return nil
}

// current is the key that signs, or the last one with kid and alg where given.
func (r *keyRing) current(kid, alg string) (key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range slices.Backward(r.keys) {
		if (kid == "" || k.kid == kid) && (alg == "" || k.alg == alg) {
			return k, nil
		}
	}
	return key{}, fmt.Errorf("no key with kid %q and algorithm %q", kid, alg)
}

func (r *keyRing) published() ([]jwkset.JWKMarshal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]jwkset.JWKMarshal, 0, len(r.keys))
	for _, k := range r.keys {
		j, err := k.jwk()
		if err != nil {
			return nil, fmt.Errorf("publishing key %q: %w", k.kid, err)
		}
		list = append(list, j)
	}
	return list, nil
}

// JWKS is the key set as published (RFC 7517 §5), for: gatepassctl keys import.
func (i *Issuer) JWKS() ([]byte, error) {
	keys, err := i.keys.published()
	if err != nil {
		return nil, err
	}
	return marshalKeys(keys)
}

func marshalKeys(keys []jwkset.JWKMarshal) ([]byte, error) {
	return json.Marshal(struct {
		Keys []jwkset.JWKMarshal `json:"keys"`
	}{keys})
}

// PublicKey is the key that signs: *rsa.PublicKey or *ecdsa.PublicKey.
func (i *Issuer) PublicKey() (crypto.PublicKey, error) {
	k, err := i.keys.current("", "")
	if err != nil {
		return nil, err
	}
	return k.signer.Public(), nil
}
