package admin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// withKeys are reasons with stored keys of every issuer.
type withKeys struct {
	admin.Reasons
	keys store.KeySet
}

func (r withKeys) KeySet(context.Context, string) (store.KeySet, error) { return r.keys, nil }

// What the service would ask the issuer about is not told as if it were known: neither
// that the job would be refused, nor that its signature is good.
func TestExplainBySomeKeys(t *testing.T) {
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	fatal(err)
	jwks, err := issuer.JWKS()
	fatal(err)
	stranger, err := issuertest.NewStranger("another key", "RS256")
	fatal(err)
	impostor, err := issuertest.NewStranger(issuertest.FirstKeyID, "RS256")
	fatal(err)
	docs, _, err := rules.Parse("rules.yaml", []byte(`{kind: bot, version: v1, metadata: {name: example}, spec: {roles: []}}
---
{kind: token, version: v2, metadata: {name: plain}, spec: {roles: [Bot], join_method: bitbucket, bot_name: example, bitbucket: {identity_provider_url: '`+issuer.BitbucketURL()+`',
  audience: 'ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d', allow: [{workspace_uuid: '`+issuertest.WorkspaceUUID+`'}]}}}`))
	fatal(err)
	var all []rules.Resource
	for _, d := range docs {
		all = append(all, d.Resource)
	}
	static, err := admin.NewStatic(all)
	fatal(err)

	now := time.Now()
	fresh := store.KeySet{JWKS: jwks, FetchedAt: now.Add(-time.Hour)}
	stale := store.KeySet{JWKS: jwks, FetchedAt: now.Add(-25 * time.Hour)}
	pinned := store.KeySet{JWKS: jwks, FetchedAt: now.Add(-1000 * time.Hour), Pinned: true}
	for _, tt := range []struct {
		name   string
		keys   store.KeySet
		option []issuertest.Option
		code   string // of the signature
		want   string // of the whole
	}{
		{"known key", fresh, nil, "ok", "ok"},
		{"known key, of a set that is pinned", pinned, nil, "ok", "ok"},
		{"known key, of a set that is too old", stale, nil, admin.CodeUnknown, "ok"},
		{"unknown key", fresh, []issuertest.Option{stranger.Signs()}, admin.CodeUnknown, "ok"},
		{"unknown key beside a set that is pinned", pinned, []issuertest.Option{stranger.Signs()}, "id_token_unknown_key", "id_token_unknown_key"},
		{"somebody's signature", fresh, []issuertest.Option{impostor.Signs()}, "id_token_bad_signature", "id_token_bad_signature"},
		{"somebody's signature, and a set that is too old", stale, []issuertest.Option{impostor.Signs()}, admin.CodeUnknown, "ok"},
		{"a set that cannot be read", store.KeySet{JWKS: []byte("x"), FetchedAt: now}, nil, admin.CodeUnknown, "ok"},
		{"no keys", store.KeySet{}, nil, admin.CodeUnknown, "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idToken, err := issuer.Bitbucket(issuertest.BitbucketJob{}, tt.option...)
			if err != nil {
				t.Fatal(err)
			}
			e, err := admin.Explain(t.Context(), withKeys{static, tt.keys}, admin.Question{Token: "plain", IDToken: idToken, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			for _, check := range e.Checks {
				if check.Name == "signature" && (check.Code != tt.code || strings.Contains(check.Detail, idToken)) {
					t.Errorf("the signature is %s: %s", check.Code, check.Detail)
				}
			}
			if e.Code != tt.want {
				t.Errorf("the code is %s, want %s: %+v", e.Code, tt.want, e.Checks)
			}
		})
	}
}
