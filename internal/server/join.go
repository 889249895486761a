package server

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func (h *handler) join(w http.ResponseWriter, r *http.Request) error {
	if err := checkMediaType(r); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxRequestBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return problem(api.CodeBodyTooLarge, fmt.Sprintf("the body is larger than %d bytes; ask for fewer credentials in one join", api.MaxRequestBytes))
		}
		return problem(api.CodeMalformedRequest, "the body ended before it was whole; send the request again")
	}
	req, err := decodeJoin(body)
	if err != nil {
		return problem(api.CodeMalformedRequest, err.Error())
	}
	resp, err := h.Join.Join(r.Context(), req, join.Caller{Addr: h.SourceAddr(r)})
	if err != nil {
		return err
	}
	return writeJSON(w, resp)
}

func checkMediaType(r *http.Request) error {
	unsupported := problem(api.CodeUnsupportedMediaType, "send the request with Content-Type: application/json, in UTF-8 and not compressed")
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return unsupported
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return unsupported
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return unsupported
	}
	return nil
}

// decodeJoin decodes a request: one JSON value (RFC 8259), names as they are
// spelled and each once, no unknown ones, valid UTF-8. Its errors never quote a
// value, which may be the ID token.
func decodeJoin(body []byte) (*api.JoinRequest, error) {
	var req api.JoinRequest
	err := jsonv2.Unmarshal(body, &req, jsonv2.RejectUnknownMembers(true))
	if err == nil {
		return &req, nil
	}
	if semantic, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
		field := fieldPath(semantic.JSONPointer)
		if errors.Is(err, jsonv2.ErrUnknownName) {
			return nil, fmt.Errorf("%s is not a field of a join request; leave it out or check its spelling", field)
		}
		return nil, fmt.Errorf("%s has a value of the wrong type", field)
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return nil, fmt.Errorf("%s is there twice", fieldPath(syntactic.JSONPointer))
		}
		return nil, fmt.Errorf("the body is not one valid JSON value: look at byte %d", syntactic.ByteOffset)
	}
	return nil, errors.New("the body is not one valid JSON value")
}

// maxFieldPath bounds how much of a caller's own spelling an error repeats.
const maxFieldPath = 100

// fieldPath writes a JSON pointer (RFC 6901) as people write fields: credentials[0].csr.
func fieldPath(p jsontext.Pointer) string {
	if p == "" {
		return "the body"
	}
	var b strings.Builder
	for t := range p.Tokens() {
		switch {
		case t != "" && strings.Trim(t, "0123456789") == "":
			b.WriteString("[" + t + "]")
		case b.Len() == 0:
			b.WriteString(t)
		default:
			b.WriteString("." + t)
		}
	}
	path := b.String()
	if len(path) > maxFieldPath {
		path = path[:maxFieldPath] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(path, "?"))
}
