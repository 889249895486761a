package server

import (
	"errors"
	"fmt"
	"net/http"
	"path"
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
	writeList(w, "application/octet-stream", list)
	return nil
}

func (h *handler) revokedCRL(w http.ResponseWriter, r *http.Request) error {
	lists, err := h.Revoked.CRL(r.Context(), revokedFiles[path.Base(r.URL.Path)]...)
	if err != nil {
		return h.noList(r, err)
	}
	writeList(w, "text/plain; charset=utf-8", []byte(lists))
	return nil
}

func writeList(w http.ResponseWriter, contentType string, list []byte) {
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(revokedFor.Seconds())))
	write(w, http.StatusOK, contentType, list)
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
