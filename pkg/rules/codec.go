package rules

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxEncoded is how many bytes an encoded resource may have. A DynamoDB item
// has at most 400 KB, the attributes beside the resource included.
const maxEncoded = 256 << 10

// document is the order of the fields of an encoded resource.
type document struct {
	header
	Spec any `json:"spec"`
}

// Encode returns the canonical JSON of r, which is what stores keep: the same
// resource always gives the same bytes. An invalid resource is an error, so
// that nothing is stored which Decode would refuse.
func Encode(r Resource) ([]byte, error) {
	if isNil(r) {
		return nil, errors.New("encoding a resource: there is none")
	}
	valid, faults := build(unbuild(r))
	if len(faults) > 0 {
		return nil, fmt.Errorf("encoding %s/%s: %w", r.Kind(), r.Name(), faults[0])
	}
	w := unbuild(valid)
	// Escaping U+2028 and U+2029 makes the JSON readable as YAML 1.1 too, to
	// which they are line breaks.
	data, err := json.Marshal(document{header: w.header, Spec: w.spec()},
		json.Deterministic(true), jsontext.EscapeForJS(true))
	if err != nil {
		return nil, fmt.Errorf("encoding %s/%s: %w", r.Kind(), r.Name(), err)
	}
	if len(data) > maxEncoded {
		return nil, fmt.Errorf("encoding %s/%s: %s", r.Kind(), r.Name(), tooLarge(len(data)))
	}
	return data, nil
}

// Decode returns the resource that Encode gave data of. It is as strict as
// Parse: an unknown, duplicate, empty or invalid field is an error that names it.
func Decode(data []byte) (Resource, error) {
	if len(data) > maxEncoded {
		return nil, errors.New("decoding a resource: " + tooLarge(len(data)))
	}
	var d struct {
		header
		Spec jsontext.Value `json:"spec"`
	}
	if err := unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("decoding a resource: %w", err)
	}
	w := wire{header: d.header}
	spec := w.newSpec()
	if spec == nil {
		return nil, fmt.Errorf("decoding a resource: %q is not a kind", d.Kind)
	}
	if d.Spec.Kind() != '{' {
		return nil, fmt.Errorf("decoding %s/%s: spec is missing", d.Kind, d.Metadata.Name)
	}
	if err := unmarshal(d.Spec, spec); err != nil {
		return nil, fmt.Errorf("decoding %s/%s: spec: %w", d.Kind, d.Metadata.Name, err)
	}
	r, faults := build(w)
	if len(faults) > 0 {
		return nil, fmt.Errorf("decoding %s/%s: %w", d.Kind, d.Metadata.Name, faults[0])
	}
	return r, nil
}

// unmarshal refuses unknown and duplicate members, invalid UTF-8, names in
// another case and trailing data; the last four by default.
func unmarshal(data []byte, v any) error {
	return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
}

// newSpec makes the spec of w's kind and returns a pointer to it; nil if there
// is no such kind.
func (w *wire) newSpec() any {
	switch Kind(w.Kind) {
	case KindBot:
		w.bot = &wireBot{}
		return w.bot
	case KindToken:
		w.token = &wireToken{}
		return w.token
	case KindRole:
		w.role = &wireRole{}
		return w.role
	case KindLock:
		w.lock = &wireLock{}
		return w.lock
	}
	return nil
}

// spec returns the spec that is set.
func (w *wire) spec() any {
	switch {
	case w.bot != nil:
		return w.bot
	case w.token != nil:
		return w.token
	case w.role != nil:
		return w.role
	}
	return w.lock
}

func isNil(r Resource) bool {
	switch r := r.(type) {
	case *Bot:
		return r == nil
	case *TokenRule:
		return r == nil
	case *Role:
		return r == nil
	case *Lock:
		return r == nil
	}
	return true
}

func tooLarge(size int) string {
	return fmt.Sprintf("%d bytes of JSON are more than the %d that a resource may have; make several of it", size, maxEncoded)
}
