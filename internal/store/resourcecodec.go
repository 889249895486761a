package store

import (
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// EncodedChange is a Change that may be made, with what is stored of its resource.
type EncodedChange struct {
	Change
	Body   []byte // of the resource; nil if it is removed
	Issuer string // of a token rule, which KeySets.Issuers reads; else empty
}

// Key names what is changed.
func (c Change) Key() Key { return Key{c.Kind, c.Name} }

// EncodeChanges checks and encodes the changes of one Write before anything is stored.
func EncodeChanges(changes []Change) ([]EncodedChange, error) {
	if len(changes) == 0 || len(changes) > MaxChanges {
		return nil, fmt.Errorf("%d changes: make 1 to %d at once", len(changes), MaxChanges)
	}
	encoded := make([]EncodedChange, len(changes))
	seen := make(map[Key]bool, len(changes))
	for i, c := range changes {
		key := c.Key()
		if seen[key] {
			return nil, fmt.Errorf("%s is changed twice: make each change once", key)
		}
		seen[key] = true
		var err error
		if encoded[i], err = encodeChange(c); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return encoded, nil
}

func encodeChange(c Change) (EncodedChange, error) {
	e := EncodedChange{Change: c}
	if c.Resource == nil {
		if c.Revision == "" {
			return e, errors.New("it cannot be removed without its revision: read it first")
		}
		return e, nil
	}
	if key := KeyOf(c.Resource); key != c.Key() {
		return e, fmt.Errorf("the change holds %s", key)
	}
	if token, ok := c.Resource.(*rules.TokenRule); ok {
		e.Issuer = token.Issuer()
	}
	var err error
	e.Body, err = rules.Encode(c.Resource)
	return e, err
}

// DecodeResource reads the body of a stored resource. Its error is an *InvalidError.
func DecodeResource(key Key, revision string, body []byte) (rules.Resource, error) {
	resource, err := rules.Decode(body)
	if err == nil && KeyOf(resource) != key {
		err = fmt.Errorf("it holds %s", KeyOf(resource))
	}
	if err != nil {
		return nil, Invalid(key, revision, err)
	}
	return resource, nil
}

// Invalid is the *InvalidError of a stored resource.
func Invalid(key Key, revision string, err error) error {
	return &InvalidError{Kind: key.Kind, Name: key.Name, Revision: revision, Err: err}
}
