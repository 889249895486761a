package issuertest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Requests counts what was asked of the server.
type Requests struct {
	Discovery, Keys, Other int
}

// Requests returns what was asked so far, answered well or not.
func (i *Issuer) Requests() Requests {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

// side is one CI's part of the server.
type side struct{ issuer, keysPath string }

func (i *Issuer) handler() http.Handler {
	mux := http.NewServeMux()
	for _, s := range []side{{i.BitbucketURL(), bitbucketKeysPath}, {i.CircleCIURL(), circleCIKeysPath}} {
		path := strings.TrimPrefix(s.issuer, "https://"+i.host)
		mux.HandleFunc("GET "+path+discoveryPath, func(w http.ResponseWriter, r *http.Request) {
			i.count(func(n *Requests) { n.Discovery++ })
			i.answer(w, r, onDiscovery, func(b Behaviour) ([]byte, error) { return i.discovery(s, b) })
		})
		mux.HandleFunc("GET "+path+s.keysPath, func(w http.ResponseWriter, r *http.Request) {
			i.count(func(n *Requests) { n.Keys++ })
			i.answer(w, r, onKeys, i.keySet)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		i.count(func(n *Requests) { n.Other++ })
		http.NotFound(w, r)
	})
	return mux
}

func (i *Issuer) count(f func(*Requests)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(&i.requests)
}

// answer writes a body, unless the issuer misbehaves.
func (i *Issuer) answer(w http.ResponseWriter, r *http.Request, where endpoint, body func(Behaviour) ([]byte, error)) {
	b := i.behaviourAt(where)
	if i.misbehave(w, r, b) {
		return
	}
	content, err := body(b)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(content)
}

// discovery is the document of OpenID Connect Discovery 1.0 §3.
func (i *Issuer) discovery(s side, b Behaviour) ([]byte, error) {
	doc := map[string]any{
		"issuer":                                s.issuer,
		"jwks_uri":                              s.issuer + s.keysPath,
		"subject_types_supported":               []string{"public"},
		"response_types_supported":              []string{"id_token"},
		"id_token_signing_alg_values_supported": []string{i.config.Algorithm},
		"scopes_supported":                      []string{"openid"},
		"claims_supported":                      []string{"sub", "aud", "exp", "iat", "iss"},
	}
	if b.DiscoveryIssuer != "" {
		doc["issuer"] = b.DiscoveryIssuer
	}
	if b.JWKSURI != "" {
		doc["jwks_uri"] = b.JWKSURI
	}
	return json.Marshal(doc)
}

func (i *Issuer) keySet(b Behaviour) ([]byte, error) {
	keys, err := i.keys.published()
	if err != nil {
		return nil, err
	}
	if b.EmptyKeySet {
		keys = keys[:0]
	}
	if b.DuplicateKeyID && len(keys) > 0 {
		k, err := newKey(keys[0].KID, keys[0].ALG.String())
		if err != nil {
			return nil, err
		}
		twin, err := k.jwk()
		if err != nil {
			return nil, err
		}
		keys = append(keys, twin)
	}
	return marshalKeys(keys)
}
