package token_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// The digests of two requests. They are in base64url with and without - and _.
var (
	mine   = [provider.DigestBytes]byte{0xfb, 0xff, 1}
	theirs = [provider.DigestBytes]byte{2}
)

// bound takes a token through every check, that of the binding included.
func checkBound(raw string, w world, e token.Expect, digest *[provider.DigestBytes]byte) (*token.Verified, error) {
	v, err := verify(raw, w.keys, e, now())
	if err != nil {
		return v, err
	}
	return v, v.Binding(e).Check(digest)
}

// TestBoundTokens holds a token whose audience has the bound form to one request.
func TestBoundTokens(t *testing.T) {
	w := ecWorld()
	ours, other := provider.BoundAudience(audience, mine), provider.BoundAudience(audience, theirs)
	text := strings.TrimPrefix(ours, audience+provider.BindingMark)
	again := func(change func(string) string) string { return audience + provider.BindingMark + change(text) }
	lower := strings.ToLower
	for name, tc := range map[string]struct {
		aud  any
		azp  any // nil for none
		want token.Code
		told string // the binding as it is recorded
	}{
		"not bound":                           {audience, nil, accept, ""},
		"bound to the request":                {ours, nil, accept, "hex"},
		"bound, in an array":                  {[]string{ours}, nil, accept, "hex"},
		"bound, beside another's audience":    {[]string{"https://other.example", ours}, nil, accept, "hex"},
		"bound, beside the rule's audience":   {[]string{audience, ours}, nil, accept, "hex"},
		"bound twice":                         {[]string{ours, ours}, nil, accept, "hex"},
		"bound, azp too":                      {ours, ours, accept, "hex"},
		"bound, azp the rule's audience":      {ours, audience, accept, "hex"},
		"bound beside another base's binding": {[]string{ours, provider.BoundAudience("https://other.example", theirs)}, nil, accept, "hex"},
		"stolen: bound to another request":    {other, nil, token.WrongRequest, "hex"},
		"stolen, bound at another rule's audience, beside this rule's": {[]string{audience, provider.BoundAudience("https://other.example", theirs)}, nil, token.WrongRequest, "malformed"},
		"bound to this request at another rule's audience":             {[]string{audience, provider.BoundAudience("https://other.example", mine)}, nil, token.WrongRequest, "malformed"},
		"stolen, in an array":                     {[]string{other}, nil, token.WrongRequest, "hex"},
		"stolen, beside the rule's audience":      {[]string{audience, other}, nil, token.WrongRequest, "hex"},
		"stolen, after the rule's audience twice": {[]string{audience, audience, other}, nil, token.WrongRequest, "hex"},
		"two requests, ours first":                {[]string{ours, other}, nil, token.WrongRequest, "malformed"},
		"two requests, ours last":                 {[]string{other, ours}, nil, token.WrongRequest, "malformed"},
		"bound by azp alone, to another":          {audience, other, token.WrongRequest, "hex"},
		"bound, azp to another":                   {ours, other, token.WrongRequest, "malformed"},
		"bound, azp of another party":             {ours, "https://other.example", token.WrongAudience, ""},
		"no digest":                               {audience + provider.BindingMark, nil, token.WrongRequest, "malformed"},
		"one character less":                      {again(func(s string) string { return s[:42] }), nil, token.WrongRequest, "malformed"},
		"one character more":                      {again(func(s string) string { return s + "A" }), nil, token.WrongRequest, "malformed"},
		"padded":                                  {again(func(s string) string { return s + "=" }), nil, token.WrongRequest, "malformed"},
		"in another case":                         {again(lower), nil, token.WrongRequest, "malformed"},
		"with + and / in place of - and _":        {again(func(s string) string { return strings.NewReplacer("-", "+", "_", "/").Replace(s) }), nil, token.WrongRequest, "malformed"},
		"another spelling of its last character":  {again(func(s string) string { return s[:42] + "B" }), nil, token.WrongRequest, "malformed"},
		"in hexadecimal":                          {audience + provider.BindingMark + strings.Repeat("ab", 32), nil, token.WrongRequest, "malformed"},
		"with a line break":                       {again(func(s string) string { return s[:20] + "\n" + s[20:] }), nil, token.WrongRequest, "malformed"},
		"with a space behind":                     {again(func(s string) string { return s + " " }), nil, token.WrongRequest, "malformed"},
		"the mark twice":                          {audience + provider.BindingMark + provider.BindingMark + text, nil, token.WrongRequest, "malformed"},
		"two digests":                             {again(func(s string) string { return s + provider.BindingMark + s }), nil, token.WrongRequest, "malformed"},
		"a list of a digest and an audience":      {ours + "," + audience, nil, token.WrongRequest, "malformed"},
		"the mark in another case":                {strings.Replace(ours, "#gatepass", "#Gatepass", 1), nil, token.WrongAudience, ""},
		"another version of the mark":             {strings.Replace(ours, "-v1:", "-v2:", 1), nil, token.WrongAudience, ""},
		"the mark without its number sign":        {strings.Replace(ours, "#", "", 1), nil, token.WrongAudience, ""},
		"another audience, bound to the request":  {provider.BoundAudience("https://other.example", mine), nil, token.WrongAudience, ""},
		"an audience that begins with the rule's": {provider.BoundAudience(audience+"/x", mine), nil, token.WrongAudience, ""},
		"nothing before the mark":                 {provider.BindingMark + text, nil, token.WrongAudience, ""},
		"the digest alone":                        {text, nil, token.WrongAudience, ""},
		"bound, and a number":                     {[]any{ours, 1}, nil, token.Malformed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			options := []issuertest.Option{issuertest.WithClaim("aud", tc.aud)}
			if tc.azp != nil {
				options = append(options, issuertest.WithClaim("azp", tc.azp))
			}
			raw := w.mintCircleCI(t, options...)
			for _, bind := range []bool{false, true} {
				e := w.circleCI()
				e.Bind = bind
				want := tc.want
				if bind && tc.told == "" && want == accept {
					want = token.NotBound
				}
				v, err := checkBound(raw, w, e, &mine)
				expectCode(t, err, want, e, raw)
				if tc.told == "" {
					if got := v.Binding(e).String(); got != "" && want != token.WrongAudience {
						t.Errorf("told as %q, want nothing", got)
					}
					if _, err := checkBound(raw, w, e, nil); codeOf(t, err) != want {
						t.Errorf("a request that cannot be told from others: %v, want %s", err, want)
					}
					continue
				}
				if got := v.Binding(e).String(); !v.Binding(e).Bound() || (len(got) == 64) != (tc.told == "hex") || len(got) != 64 && got != tc.told {
					t.Errorf("told as %q, want %s", got, tc.told)
				}
				// The request without a digest of its own is none that a token can be bound to.
				if _, err := checkBound(raw, w, e, nil); codeOf(t, err) != token.WrongRequest {
					t.Errorf("a request that cannot be told from others: %v", err)
				}
			}
		})
	}
}

// TestAnAudienceWithANumberSign holds that only the mark binds.
func TestAnAudienceWithANumberSign(t *testing.T) {
	w := ecWorld()
	const of = "https://join.example.com/#gatepass"
	e := w.circleCI()
	e.Audience = of
	for aud, want := range map[string]token.Code{
		of:                                    accept,
		provider.BoundAudience(of, mine):      accept,
		provider.BoundAudience(of, theirs):    token.WrongRequest,
		of + "-v1:" + strings.Repeat("A", 43): token.WrongAudience,
	} {
		raw := w.mintCircleCI(t, issuertest.WithClaim("aud", aud))
		if _, err := checkBound(raw, w, e, &mine); codeOf(t, err) != want {
			t.Errorf("%s: %v, want %s", aud, err, want)
		}
	}
}

// FuzzBinding holds what the checks say of any audiences to the rule in its simplest form.
func FuzzBinding(f *testing.F) {
	w := ecWorld()
	f.Add(`"`+audience+`"`, "", audience, false)
	f.Add(`"`+provider.BoundAudience(audience, mine)+`"`, "", audience, true)
	f.Fuzz(func(t *testing.T, aud, azp, of string, bind bool) {
		e := w.circleCI()
		e.Audience, e.Bind = of, bind
		claims, ok := withAudience(w, aud, azp)
		if !ok {
			return
		}
		u, err := token.ParseClaims(claims, "circleci")
		if err != nil {
			return
		}
		if err = u.Check(e, now()); err == nil {
			err = u.Binding(e).Check(&mine)
		}
		want := simplest(u.Claims, of, bind)
		if (err == nil) != want {
			t.Fatalf("aud %s azp %q for %q, bind %t: %v, want accepted %t", aud, azp, of, bind, err, want)
		}
		if err != nil {
			expectAnyCode(t, err, token.Malformed, token.MissingClaim, token.WrongAudience, token.NotBound, token.WrongRequest)
		}
	})
}

// simplest is the rule: an audience of the rule's, and none that is bound to another request.
func simplest(claims map[string]any, of string, bind bool) bool {
	var all []string
	switch aud := claims["aud"].(type) {
	case string:
		all = []string{aud}
	case []any:
		for _, one := range aud {
			s, ok := one.(string)
			if !ok {
				return false
			}
			all = append(all, s)
		}
	}
	isOurs := func(s string) bool { return s == of || strings.HasPrefix(s, of+"#gatepass-v1:") }
	if of == "" || !slices.ContainsFunc(all, isOurs) {
		return false
	}
	if azp, there := claims["azp"]; there {
		s, ok := azp.(string)
		if !ok || !isOurs(s) {
			return false
		}
		all = append(all, s)
	}
	bound := false
	for _, s := range all {
		if digest, ok := strings.CutPrefix(s, of+"#gatepass-v1:"); ok {
			if digest != base64.RawURLEncoding.EncodeToString(mine[:]) {
				return false
			}
			bound = true
		}
	}
	return bound || !bind
}

// withAudience is the payload of an honest token with another aud, in JSON, and azp if it
// is not empty.
func withAudience(w world, aud, azp string) ([]byte, bool) {
	if !json.Valid([]byte(aud)) {
		return nil, false
	}
	claims := map[string]any{
		"iss": w.CircleCIURL(), "aud": json.RawMessage(aud), "sub": "s", "iat": now().Unix(), "exp": now().Unix() + 60,
		"oidc.circleci.com/project-id": issuertest.ProjectID,
	}
	if azp != "" {
		claims["azp"] = azp
	}
	payload, err := json.Marshal(claims)
	return payload, err == nil
}
