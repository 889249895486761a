package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep a header or a payload may nest. Real ones nest two deep;
// what is recorded must not be deeper than a store or a reader can take.
const maxDepth = 16

// errNotObject says that JSON is something else than an object.
var errNotObject = errors.New("not a JSON object")

// parseObject decodes a JSON object strictly (RFC 7519 §7.2, RFC 8725 §3.8): a
// member twice, invalid UTF-8 and trailing data are errors, since two readers
// could take them differently. Numbers become int64 where they are one and
// json.Number otherwise, so that none loses a digit.
func parseObject(data []byte) (map[string]any, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	if dec.PeekKind() != '{' {
		return nil, errNotObject
	}
	v, err := parseValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("data after the JSON object")
	}
	return v.(map[string]any), nil // parseValue returns one for '{'
}

func parseValue(dec *jsontext.Decoder) (any, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	if dec.StackDepth() > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch tok.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return tok.Bool(), nil
	case '"':
		return tok.String(), nil
	case '0':
		return parseNumber(tok.String()), nil
	case '[':
		return parseArray(dec)
	default: // '{': ReadToken returns no closing token where a value is due
		return parseMembers(dec)
	}
}

func parseNumber(literal string) any {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return n
	}
	return json.Number(literal)
}

func parseArray(dec *jsontext.Decoder) (any, error) {
	list := []any{}
	for dec.PeekKind() != ']' {
		v, err := parseValue(dec)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.ReadToken()
	return list, err
}

func parseMembers(dec *jsontext.Decoder) (any, error) {
	members := map[string]any{}
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := tok.String() // before the next read, which invalidates tok
		if members[name], err = parseValue(dec); err != nil {
			return nil, err
		}
	}
	_, err := dec.ReadToken()
	return members, err
}
