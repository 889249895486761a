package server

import (
	"crypto"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// authorityFiles are the files below /v1/authorities, each cut out of the whole.
var authorityFiles = map[string]func(*api.Authorities) string{
	"ssh-user.pub":         func(a *api.Authorities) string { return lines(a.SSHUser) },
	"ssh-host.pub":         func(a *api.Authorities) string { return lines(a.SSHHost) },
	"x509-identity.pem":    func(a *api.Authorities) string { return a.X509[api.UsageIdentity] },
	"x509-database.pem":    func(a *api.Authorities) string { return a.X509[api.UsageDatabase] },
	"x509-application.pem": func(a *api.Authorities) string { return a.X509[api.UsageApplication] },
	"x509-kubernetes.pem":  func(a *api.Authorities) string { return a.X509[api.UsageKubernetes] },
}

func lines(all []string) string {
	var b strings.Builder
	for _, line := range all {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// publish returns what servers trust, as it is now.
func (h *handler) publish(r *http.Request) (*api.Authorities, error) {
	h.Join.Authorities.Prepare(r.Context())
	all, err := h.published.Publish(r.Context(), h.Join.Authorities)
	if err != nil {
		return nil, h.signerUnavailable(r, err)
	}
	return all, nil
}

// jwtKeys returns the keys that verify our JWTs, as they are now, and a problem for
// the caller if there are none.
func (h *handler) jwtKeys(r *http.Request) ([]crypto.PublicKey, error) {
	h.Join.Authorities.Prepare(r.Context())
	keys, err := authority.JWTKeys(r.Context(), h.Join.Authorities)
	if err != nil {
		return nil, h.signerUnavailable(r, err)
	}
	if len(keys) == 0 {
		return nil, problem(api.CodeNotFound, "this service signs no JWTs")
	}
	return keys, nil
}

func (h *handler) authorities(w http.ResponseWriter, r *http.Request) error {
	all, err := h.publish(r)
	if err != nil {
		return err
	}
	return writeJSON(w, all)
}

func (h *handler) authorityFile(w http.ResponseWriter, r *http.Request) error {
	all, err := h.publish(r)
	if err != nil {
		return err
	}
	content := authorityFiles[path.Base(r.URL.Path)](all)
	if content == "" {
		return problem(api.CodeNotFound, "this service has no such authority; the ones it has are at "+api.PathAuthorities)
	}
	write(w, http.StatusOK, "text/plain; charset=utf-8", []byte(content))
	return nil
}

// discovery is the service as an issuer (OpenID Connect Discovery 1.0 §3).
func (h *handler) discovery(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.jwtKeys(r); err != nil {
		return err
	}
	return writeJSON(w, map[string]any{
		"issuer":                                h.PublicURL,
		"jwks_uri":                              h.PublicURL + api.PathJWKS,
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"claims_supported":                      []string{"iss", "sub", "aud", "exp", "iat", "jti", "groups", "gatepass"},
	})
}

func (h *handler) jwks(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.jwtKeys(r)
	if err != nil {
		return err
	}
	set, err := cert.JWKS(keys)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", set)
	return nil
}

func (h *handler) signerUnavailable(r *http.Request, err error) error {
	return h.unavailable(r, err, api.CodeSignerUnavailable, "the service cannot read its authorities; send the same request again")
}

// retryRead is when to come back after something could not be read.
const retryRead = time.Second

// unavailable logs why something cannot be read, which the caller is not told.
func (h *handler) unavailable(r *http.Request, cause error, code api.Code, detail string) error {
	h.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "cause", cause.Error())
	return &join.Refusal{Problem: api.NewProblem(code, detail), RetryAfter: retryRead}
}
