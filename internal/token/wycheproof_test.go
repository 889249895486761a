package token_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/gatepass-ci/gatepass/internal/token"
)

type wycheproofGroup struct {
	Comment string
	Public  json.RawMessage
	Private json.RawMessage
	Tests   []struct {
		TcID    int `json:"tcId"`
		Comment string
		JWS     json.RawMessage
		Result  string
	}
}

// accepted lists the vectors that must verify: all that Wycheproof calls valid
// and that are signed with RS256 or ES256. The other valid ones use HMAC, RSA-PSS
// or longer hashes, which are refused here whatever their signature.
//
// Most payloads of the vectors are no JSON, so Parse would refuse them for
// that; VerifyJWS runs the same code up to the signature.
func accepted() map[int]bool {
	return map[int]bool{
		18: true, 33: true, // one of each
		259: true, 260: true, 261: true, 262: true, 263: true, // RS256, payloads of all kinds
		345: true, 349: true, // RFC 7520 §4.1, the latter with key_ops
		378: true, // ES256
	}
}

func TestWycheproof(t *testing.T) {
	file, err := fs.ReadFile(wycheproof.TestVectors, "json_web_signature_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		NumberOfTests int
		TestGroups    []wycheproofGroup
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	ran, verified := 0, map[int]bool{}
	for _, g := range vectors.TestGroups {
		keys := wycheproofKeys(g)
		for _, tc := range g.Tests {
			ran++
			var jws string
			if json.Unmarshal(tc.JWS, &jws) != nil {
				jws = string(tc.JWS) // the JSON serialization, which is not read here
			}
			err := token.VerifyJWS(jws, keys)
			if err == nil {
				verified[tc.TcID] = true
			}
			if refusal := (*token.Error)(nil); err != nil && !errors.As(err, &refusal) {
				t.Errorf("%d %s: refused without a code: %v", tc.TcID, tc.Comment, err)
			}
			if want := accepted()[tc.TcID]; (err == nil) != want || want && tc.Result != "valid" {
				t.Errorf("%d %s %s (%s): verifies is %t, want %t: %v", tc.TcID, g.Comment, tc.Comment, tc.Result, err == nil, want, err)
			}
		}
	}
	if ran < 400 || ran != vectors.NumberOfTests || len(verified) != len(accepted()) {
		t.Errorf("ran %d of %d vectors, verified %d of %d", ran, vectors.NumberOfTests, len(verified), len(accepted()))
	}
}

// wycheproofKeys is the group's key as a set; nil, which has no key, if it is one
// that is never used.
func wycheproofKeys(g wycheproofGroup) *token.KeySet {
	jwk := g.Public
	if jwk == nil {
		jwk = g.Private
	}
	keys, err := token.ParseKeySet([]byte(`{"keys":[` + string(jwk) + `]}`))
	if err != nil {
		return nil
	}
	return keys
}
