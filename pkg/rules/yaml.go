package rules

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// MarshalYAML returns r as canonical YAML, without a leading "---". Parse of it
// gives an equal resource.
func MarshalYAML(r Resource) ([]byte, error) {
	encoded, err := Encode(r)
	if err != nil {
		return nil, err
	}
	root, err := yamlNode(jsontext.NewDecoder(bytes.NewReader(encoded)))
	if err != nil {
		return nil, fmt.Errorf("writing %s/%s as YAML: %w", r.Kind(), r.Name(), err)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("writing %s/%s as YAML: %w", r.Kind(), r.Name(), err)
	}
	return out.Bytes(), nil
}

// yamlNode makes YAML of canonical JSON, in its order.
func yamlNode(dec *jsontext.Decoder) (*yaml.Node, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case '{', '[':
		return yamlCollection(dec, tok.Kind())
	case '"':
		n := &yaml.Node{}
		n.SetString(tok.String())
		return n, nil
	case 't', 'f':
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: tok.String()}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: tok.String()}, nil
}

func yamlCollection(dec *jsontext.Decoder, open jsontext.Kind) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if open == '[' {
		n.Kind = yaml.SequenceNode
	}
	for kind := dec.PeekKind(); kind != '}' && kind != ']'; kind = dec.PeekKind() {
		child, err := yamlNode(dec)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	_, err := dec.ReadToken()
	return n, err
}
