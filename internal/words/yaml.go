package words

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAMLString writes any text as a string that YAML and JSON read as itself.
func YAMLString(s string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always can
	return strings.TrimSpace(out.String())
}

// YAML writes one value of JSON as YAML, in its order. The result is valid whatever the
// texts in it have, and what would move a terminal is escaped in them.
func YAML(text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	node, err := yamlNode(decoder)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return nil, err
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return escapeYAML(out.Bytes()), nil
}

// yamlNode reads one value. It is not parsed as YAML, although JSON is nearly that:
// YAML's reader refuses characters that JSON may have.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}
	switch v := token.(type) {
	case json.Delim:
		node = &yaml.Node{Kind: yaml.MappingNode}
		if v == '[' {
			node.Kind = yaml.SequenceNode
		}
		for d.More() {
			member, err := yamlNode(d)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, member)
		}
		_, err = d.Token() // its end
	case string:
		node.Tag, node.Value = "!!str", v // the encoder quotes what needs it
		if strings.ContainsFunc(v, func(r rune) bool { return !Harmless(r) && r != '\n' }) {
			node.Style = yaml.DoubleQuotedStyle // where a character can be escaped
		}
	case json.Number:
		node.Value = v.String()
	case bool:
		node.Value = map[bool]string{true: "true", false: "false"}[v]
	}
	return node, err
}
