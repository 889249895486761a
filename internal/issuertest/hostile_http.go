package issuertest

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// Behaviour is what goes wrong at the server. Its zero value is an honest issuer.
type Behaviour struct {
	// OnlyKeys and OnlyDiscovery confine Delay to NotJSON to one of the two.
	OnlyKeys, OnlyDiscovery bool

	// Delay comes before the answer, which is cut short when the issuer is closed.
	Delay time.Duration
	// Stall sends the header and one byte, and then nothing more.
	Stall bool
	// BodyBytes, if not 0, is the size of a body of white space and an empty object.
	BodyBytes int64
	// UnknownLength sends that body chunked, without Content-Length.
	UnknownLength bool
	// Redirect, if set, is where a 302 points to.
	Redirect string
	// Status, if not 0, is answered with a short text.
	Status int
	// Compressed labels the answer as gzip.
	Compressed bool
	// NotJSON answers 200 with HTML.
	NotJSON bool

	// DiscoveryIssuer and JWKSURI replace the values in the discovery document.
	DiscoveryIssuer, JWKSURI string
	// EmptyKeySet publishes a set without keys.
	EmptyKeySet bool
	// DuplicateKeyID publishes another key under the first one's kid.
	DuplicateKeyID bool
}

type endpoint int

const (
	onDiscovery endpoint = iota
	onKeys
)

// Misbehave makes the server behave so from now on.
func (i *Issuer) Misbehave(b Behaviour) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.behaviour = b
}

// Behave makes the server honest again.
func (i *Issuer) Behave() { i.Misbehave(Behaviour{}) }

// behaviourAt is the behaviour that applies to an endpoint.
func (i *Issuer) behaviourAt(where endpoint) Behaviour {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := i.behaviour
	if b.OnlyKeys && where != onKeys || b.OnlyDiscovery && where != onDiscovery {
		return Behaviour{DiscoveryIssuer: b.DiscoveryIssuer, JWKSURI: b.JWKSURI, EmptyKeySet: b.EmptyKeySet, DuplicateKeyID: b.DuplicateKeyID}
	}
	return b
}

// misbehave answers in an honest issuer's place, and reports whether it did.
func (i *Issuer) misbehave(w http.ResponseWriter, r *http.Request, b Behaviour) bool {
	if b.Delay > 0 && !i.sleep(r, b.Delay) {
		panic(http.ErrAbortHandler) // no answer at all, rather than an empty one
	}
	if b.Compressed {
		w.Header().Set("Content-Encoding", "gzip")
	}
	switch {
	case b.Stall:
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("{"))
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-i.closed:
		}
		// Returning would end the body well, which a client that is just leaving may still see.
		panic(http.ErrAbortHandler)
	case b.Redirect != "":
		http.Redirect(w, r, b.Redirect, http.StatusFound)
	case b.Status != 0:
		http.Error(w, "this issuer misbehaves on purpose", b.Status)
	case b.NotJSON:
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<html><body>Please log in to the Wi-Fi.</body></html>"))
	case b.BodyBytes > 0:
		writeHuge(w, b)
	default:
		return false
	}
	return true
}

// sleep reports whether it slept to the end.
func (i *Issuer) sleep(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	case <-i.closed:
		return false
	}
}

// writeHuge writes b.BodyBytes of valid JSON: white space, then an object.
func writeHuge(w http.ResponseWriter, b Behaviour) {
	w.Header().Set("Content-Type", "application/json")
	if !b.UnknownLength {
		w.Header().Set("Content-Length", strconv.FormatInt(max(b.BodyBytes, 2), 10))
	}
	block := bytes.Repeat([]byte(" "), 64<<10)
	for left := b.BodyBytes - 2; left > 0; left -= int64(len(block)) {
		if _, err := w.Write(block[:min(left, int64(len(block)))]); err != nil {
			return // the client has had enough
		}
	}
	w.Write([]byte("{}"))
}
