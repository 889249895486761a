package rules

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// jsonDocuments reads data as JSON values, one after another, into the form that
// YAML is read into. The YAML parser reads most JSON, but neither \/ nor pairs
// of surrogates. It reports false if data is not JSON throughout: then it is
// YAML, or JSON that the YAML parser says more of.
func jsonDocuments(data []byte) (docs []*yaml.Node, ok bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, false
	}
	j := &jsonReader{data: data, dec: jsontext.NewDecoder(bytes.NewReader(data)), line: 1}
	for {
		n, err := j.node()
		if err == io.EOF {
			return docs, true
		}
		if err != nil {
			return nil, false
		}
		docs = append(docs, n)
	}
}

type jsonReader struct {
	data   []byte
	dec    *jsontext.Decoder
	line   int
	offset int64 // up to where lines were counted
}

var errTooDeep = errors.New("nested too deep")

func (j *jsonReader) node() (*yaml.Node, error) {
	tok, err := j.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	if j.dec.StackDepth() > 2*maxDepth {
		return nil, errTooDeep
	}
	end := j.dec.InputOffset()
	j.line += bytes.Count(j.data[j.offset:end], []byte{'\n'})
	j.offset = end

	n := &yaml.Node{Kind: yaml.ScalarNode, Value: tok.String(), Line: j.line}
	switch tok.Kind() {
	case '{':
		n.Kind, n.Tag, n.Value = yaml.MappingNode, "!!map", ""
		return n, j.children(n, '}')
	case '[':
		n.Kind, n.Tag, n.Value = yaml.SequenceNode, "!!seq", ""
		return n, j.children(n, ']')
	case '"':
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
	case 't', 'f':
		n.Tag = "!!bool"
	case 'n':
		n.Tag = "!!null"
	default:
		n.Tag = "!!int"
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	}
	return n, nil
}

func (j *jsonReader) children(n *yaml.Node, end jsontext.Kind) error {
	for j.dec.PeekKind() != end {
		child, err := j.node()
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := j.dec.ReadToken()
	return err
}
