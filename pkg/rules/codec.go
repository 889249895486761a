package rules

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// maxEncoded is how many bytes an encoded resource may have. A DynamoDB item
// has at most 400 KB, the attributes beside the resource included.
const maxEncoded = 256 << 10

// document is an encoded resource.
type document[Spec any] struct {
	Kind     Kind     `json:"kind"`
	Version  string   `json:"version"`
	Metadata Metadata `json:"metadata"`
	Spec     Spec     `json:"spec"`
}

// Encode returns the canonical JSON of r, which is what stores keep: the same
// resource always gives the same bytes. An invalid resource is an error, so
// that nothing is stored which Decode would refuse.
func Encode(r Resource) ([]byte, error) {
	if isNil(r) {
		return nil, errors.New("encoding a resource: there is none")
	}
	data, err := marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding %s/%s: %w", r.Kind(), r.Name(), err)
	}
	canonical, _, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("encoding %s/%s: %w", r.Kind(), r.Name(), err)
	}
	if data, err = marshal(canonical); err != nil {
		return nil, fmt.Errorf("encoding %s/%s: %w", r.Kind(), r.Name(), err)
	}
	if len(data) > maxEncoded {
		return nil, fmt.Errorf("encoding %s/%s: %s", r.Kind(), r.Name(), tooLarge(len(data)))
	}
	return data, nil
}

// marshal writes a resource as it stands. Escaping U+2028 and U+2029 makes the JSON
// readable as YAML 1.1 too, to which they are line breaks.
func marshal(r Resource) ([]byte, error) {
	return json.Marshal(document[Resource]{r.Kind(), versionOf(r), r.Meta(), r},
		json.Deterministic(true), jsontext.EscapeForJS(true), json.WithMarshalers(marshalers))
}

// Decode returns the resource that Encode gave data of. It is as strict as
// Parse: an unknown, duplicate, empty or invalid field is an error that names it.
func Decode(data []byte) (Resource, error) {
	if len(data) > maxEncoded {
		return nil, errors.New("decoding a resource: " + tooLarge(len(data)))
	}
	r, name, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", name, err)
	}
	return r, nil
}

// decode also returns what to call the resource if it cannot be read.
func decode(data []byte) (r Resource, name string, err error) {
	var d document[jsontext.Value]
	if err := unmarshal(data, &d); err != nil {
		return nil, "a resource", err
	}
	if r = newResource(d.Kind, d.Version); r == nil {
		return nil, "a resource", fmt.Errorf("%q is not a kind", d.Kind)
	}
	name = string(d.Kind) + "/" + d.Metadata.Name
	if d.Spec.Kind() != '{' {
		return nil, name, errors.New("spec is missing")
	}
	if err := unmarshal(d.Spec, r); err != nil {
		return nil, name, fmt.Errorf("spec: %w", err)
	}
	*metadataOf(r) = d.Metadata
	if faults := check(r, d.Version, nil); len(faults) > 0 {
		return nil, name, faults[0]
	}
	return r, name, nil
}

// unmarshal refuses unknown and duplicate members, invalid UTF-8, names in
// another case and trailing data; the last four by default.
func unmarshal(data []byte, v any) error {
	return json.Unmarshal(data, v, json.RejectUnknownMembers(true), json.WithUnmarshalers(unmarshalers))
}

// newResource makes an empty resource of a kind, with the defaults of what may be left
// out; nil if there is no such kind.
func newResource(kind Kind, version string) Resource {
	switch kind {
	case KindBot:
		return &Bot{}
	case KindToken:
		return &TokenRule{MaxJoins: defaultMaxJoins}
	case KindRole:
		return &Role{Version: version}
	case KindLock:
		return &Lock{}
	}
	return nil
}

func metadataOf(r Resource) *Metadata {
	switch r := r.(type) {
	case *Bot:
		return &r.Metadata
	case *TokenRule:
		return &r.Metadata
	case *Role:
		return &r.Metadata
	case *Lock:
		return &r.Metadata
	}
	return nil
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

// How the types that resources are made of are stored. Nothing assigns to them.
var (
	marshalers = json.JoinMarshalers(
		json.MarshalToFunc(func(enc *jsontext.Encoder, d time.Duration) error {
			return enc.WriteToken(jsontext.String(formatDuration(d)))
		}),
		json.MarshalToFunc(marshalSection),
		json.MarshalToFunc(marshalValues),
	)
	unmarshalers = json.JoinUnmarshalers(
		json.UnmarshalFromFunc(unmarshalText),
		json.UnmarshalFromFunc(func(dec *jsontext.Decoder, d *time.Duration) error {
			return unmarshalChecked(dec, d, parseDuration)
		}),
		json.UnmarshalFromFunc(func(dec *jsontext.Decoder, t *time.Time) error {
			return unmarshalChecked(dec, t, parseTime)
		}),
		json.UnmarshalFromFunc(unmarshalNodeLabels),
		json.UnmarshalFromFunc(func(dec *jsontext.Decoder, labels *map[string]string) error { return unmarshalLenient(dec, labels) }),
		json.UnmarshalFromFunc(func(dec *jsontext.Decoder, e *CertExtension) error { return unmarshalLenient(dec, e) }),
		json.UnmarshalFromFunc(unmarshalSection),
		json.UnmarshalFromFunc(unmarshalValues),
	)
)

// unmarshalText refuses null and the empty string. A rule whose branch is "" or null
// would otherwise read as one that does not ask for a branch at all.
func unmarshalText(dec *jsontext.Decoder, s *string) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '"' {
		return errors.New("not a string")
	}
	if *s = tok.String(); *s == "" {
		return errors.New("an empty string; leave the field out")
	}
	return nil
}

func unmarshalChecked[T any](dec *jsontext.Decoder, v *T, parse func(string) (T, string)) (err error) {
	var s, problem string
	if err := unmarshalText(dec, &s); err != nil {
		return err
	}
	if *v, problem = parse(s); problem != "" {
		return errors.New(problem)
	}
	return nil
}

// unmarshalLenient reads what may have empty strings: labels, and extensions of
// certificates, of which all but the value is checked later.
func unmarshalLenient[T any](dec *jsontext.Decoder, v *T) error {
	return json.UnmarshalDecode(dec, v, json.WithUnmarshalers(nil))
}

// unmarshalNodeLabels refuses null, which would read as absent: any host.
func unmarshalNodeLabels(dec *jsontext.Decoder, labels *NodeLabels) error {
	if dec.PeekKind() == 'n' {
		return errors.New("null; leave the field out")
	}
	*labels = NodeLabels{}
	return json.UnmarshalDecode(dec, (*map[string][]string)(labels))
}

// marshalSection writes a section in its own order, which check has made the table's.
func marshalSection(enc *jsontext.Encoder, s provider.Section) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	if err := marshalMembers(enc, s.Settings); err != nil {
		return err
	}
	for _, flag := range s.Flags {
		if err := errors.Join(enc.WriteToken(jsontext.String(flag)), enc.WriteToken(jsontext.True)); err != nil {
			return err
		}
	}
	if err := marshalList(enc, "allow", s.Allow); err != nil {
		return err
	}
	if len(s.Deny) > 0 {
		if err := marshalList(enc, "deny", s.Deny); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

func marshalList(enc *jsontext.Encoder, name string, list []provider.Values) error {
	if err := enc.WriteToken(jsontext.String(name)); err != nil {
		return err
	}
	return json.MarshalEncode(enc, list)
}

func marshalValues(enc *jsontext.Encoder, v provider.Values) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	if err := marshalMembers(enc, v); err != nil {
		return err
	}
	return enc.WriteToken(jsontext.EndObject)
}

func marshalMembers(enc *jsontext.Encoder, v provider.Values) error {
	for _, named := range v {
		if err := errors.Join(enc.WriteToken(jsontext.String(named.Name)), enc.WriteToken(jsontext.String(named.Value))); err != nil {
			return err
		}
	}
	return nil
}

// unmarshalSection takes whatever may be a setting, a flag that is true or a list of
// rules. Whether the CI has such a field is for check to say.
func unmarshalSection(dec *jsontext.Decoder, s *provider.Section) error {
	return eachMember(dec, func(name string) error {
		switch {
		case name == "allow":
			return unmarshalRules(dec, &s.Allow)
		case name == "deny":
			return unmarshalRules(dec, &s.Deny)
		case dec.PeekKind() == 't':
			s.Flags = append(s.Flags, name)
			return dec.SkipValue()
		}
		return unmarshalNamed(dec, name, &s.Settings)
	})
}

func unmarshalRules(dec *jsontext.Decoder, list *[]provider.Values) error {
	if dec.PeekKind() != '[' {
		return errors.New("not a list of rules")
	}
	return json.UnmarshalDecode(dec, list)
}

func unmarshalValues(dec *jsontext.Decoder, v *provider.Values) error {
	return eachMember(dec, func(name string) error { return unmarshalNamed(dec, name, v) })
}

func unmarshalNamed(dec *jsontext.Decoder, name string, v *provider.Values) error {
	var value string
	if err := unmarshalText(dec, &value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*v = append(*v, provider.Named{Name: name, Value: value})
	return nil
}

// eachMember reads an object, of which no member is there twice.
func eachMember(dec *jsontext.Decoder, read func(name string) error) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '{' {
		return errors.New("not an object")
	}
	for dec.PeekKind() != '}' {
		if tok, err = dec.ReadToken(); err != nil {
			return err
		}
		if err := read(tok.String()); err != nil {
			return err
		}
	}
	_, err = dec.ReadToken()
	return err
}
