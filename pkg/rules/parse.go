package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a file.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 16      // of nesting; resources nest seven deep
)

// Document is one resource of a file.
type Document struct {
	Resource Resource
	File     string
	Line     int // where the document begins, from 1
}

// Parse reads the resources of a file: YAML or JSON, several documents, at most
// 1 MiB. It is strict: whatever it does not understand is an error, save what
// Teleport writes and cannot widen access, which is a Warning. The error is an
// Errors with all problems found; then no documents are returned. The name of
// the file is only for messages.
func Parse(file string, data []byte) ([]Document, []Warning, error) {
	p := &parser{file: file}
	switch {
	case len(data) > maxFile:
		p.errorAt(1, "", fmt.Sprintf("has %d bytes; a file has at most %d, so make several of it", len(data), maxFile))
	case !utf8.Valid(data):
		p.errorAt(1, "", "is not UTF-8")
	default:
		p.documents(data)
	}
	if len(p.errors) > 0 {
		slices.SortStableFunc(p.errors, func(a, b Error) int { return a.Line - b.Line })
		return nil, p.warnings, p.errors
	}
	return p.docs, p.warnings, nil
}

type parser struct {
	file     string
	docs     []Document
	warnings []Warning
	errors   Errors
}

func (p *parser) errorAt(line int, field, message string) {
	p.errors = append(p.errors, Error{File: p.file, Line: line, Field: field, Message: message})
}

func (p *parser) documents(data []byte) {
	if docs, ok := jsonDocuments(data); ok {
		for _, root := range docs {
			p.document(root)
		}
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			line, message := syntaxError(err)
			p.errorAt(line, "", message)
			return
		}
		root := doc.Content[0]
		if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" && root.Value == "" && root.Anchor == "" {
			continue // nothing between two lines of ---
		}
		p.document(root)
	}
}

// syntaxError takes the line out of a message of the YAML parser, which has it
// nowhere else.
func syntaxError(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil && n > 0 {
				return n, "is not YAML: " + text
			}
		}
	}
	return 1, "is not YAML: " + message
}

func (p *parser) document(root *yaml.Node) {
	r := &reader{parser: p, lines: map[string]int{"": root.Line}}
	if !r.wellFormed(root, &path{}, 0) {
		return
	}
	resource, version := r.resource(root)
	if resource == nil {
		return // r has said so
	}
	faults := check(resource, version, r.late)
	for _, f := range faults {
		if !r.reported(f.field) {
			p.errorAt(r.line(f.field), f.field, f.message)
		}
	}
	if len(r.bad) > 0 || len(faults) > 0 {
		return
	}
	if _, err := Encode(resource); err != nil { // it is too large: all else was checked
		p.errorAt(root.Line, "", err.Error())
		return
	}
	p.docs = append(p.docs, Document{Resource: resource, File: p.file, Line: root.Line})
}
