package server

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

func writeJSON(w http.ResponseWriter, v any) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", body.Bytes())
	return nil
}

func writeProblem(w http.ResponseWriter, p *api.Problem, retryAfter time.Duration) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatFloat(math.Ceil(retryAfter.Seconds()), 'f', 0, 64))
	}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(p); err != nil { // a Problem holds nothing that cannot be encoded
		panic(err)
	}
	write(w, p.Status, api.ProblemContentType, body.Bytes())
}

// write sends a whole body. A client that has gone away is no concern of ours.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
