package server

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", append(body, '\n'))
	return nil
}

func writeProblem(w http.ResponseWriter, p *api.Problem, retryAfter time.Duration) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatFloat(math.Ceil(retryAfter.Seconds()), 'f', 0, 64))
	}
	body, err := json.Marshal(p)
	if err != nil { // a Problem holds nothing that cannot be encoded
		panic(err)
	}
	write(w, p.Status, api.ProblemContentType, append(body, '\n'))
}

// write sends a whole body. A client that has gone away is no concern of ours.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
