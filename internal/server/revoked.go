package server

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// revokedFiles are the CRLs below /v1/revoked: of all X.509 authorities, and of each.
var revokedFiles = map[string][]cert.Purpose{
	path.Base(api.PathRevokedCRL): cert.X509Purposes(),
	"x509-identity.crl":           {cert.X509Identity},
	"x509-database.crl":           {cert.X509Database},
	"x509-application.crl":        {cert.X509Application},
	"x509-kubernetes.crl":         {cert.X509Kubernetes},
}

// revokedFor is how long a cache may keep a list. With authority.ListsMaxAge it bounds how
// long a list lacks what was revoked.
const revokedFor = 30 * time.Second

func (h *handler) revokedKRL(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Revoked.KRL(r.Context())
	if err != nil {
		return h.noList(r, err)
	}
	writeList(w, r, "application/octet-stream", list)
	return nil
}

func (h *handler) revokedCRL(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Revoked.CRL(r.Context(), revokedFiles[path.Base(r.URL.Path)]...)
	if err != nil {
		return h.noList(r, err)
	}
	writeList(w, r, "text/plain; charset=utf-8", list)
	return nil
}

// writeList answers with a list, or with 304 if the caller has it (RFC 9110 §13.1.2).
func writeList(w http.ResponseWriter, r *http.Request, contentType string, list *authority.List) {
	header := w.Header()
	header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(revokedFor.Seconds())))
	header.Set("ETag", list.Tag)
	if hasList(r, list.Tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, http.StatusOK, contentType, list.Content)
}

// hasList reports whether the caller says that it has the content of this tag. Which tags
// have a comma does not matter: ours have none.
func hasList(r *http.Request, tag string) bool {
	for _, one := range strings.Split(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// noList answers when there is no list. It never answers with one that is not whole:
// who fetches lists then keeps the one that he has.
func (h *handler) noList(r *http.Request, err error) error {
	switch {
	case errors.Is(err, authority.ErrNone):
		return problem(api.CodeNotFound, "this service has no such authority; the ones it has are at "+api.PathAuthorities)
	case errors.Is(err, authority.ErrRevocations):
		return h.unavailable(r, err, api.CodeStoreUnavailable, "the service cannot read what was revoked; keep the list that you have, and send the same request again")
	}
	return h.signerUnavailable(r, err)
}
