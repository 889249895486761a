package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// issuer is what the ID token says; "" if it says none.
func (q Question) issuer() string {
	claims, err := q.Unverified(provider.Methods()[0]) // of any method: iss is everywhere
	if err != nil {
		return ""
	}
	iss, _ := claims.Claims["iss"].(string)
	return iss
}

// Unverified reads the claims that a question is about.
func (q Question) Unverified(method string) (*token.Unverified, error) {
	if q.IDToken == "" {
		return token.ParseClaims(q.Claims, method)
	}
	parsed, err := token.Parse(q.IDToken)
	if err != nil {
		return nil, err
	}
	return parsed.Unverified(method)
}

// idToken checks the form, the signature and the claims, in the order of a join; nil if
// the form is wrong.
func (e *explainer) idToken(ctx context.Context) *token.Unverified {
	claims, err := e.q.Unverified(e.rule.JoinMethod)
	if err != nil {
		e.addError("form", err, "")
		e.tokenRule("")
		return nil
	}
	early := claims.Precheck(e.q.Presented)
	if early != nil {
		e.addError("claims", early, "")
	}
	e.tokenRule(claims.Issuer())
	e.Presented = claims.Fields
	e.signature(ctx)
	expect := join.Expectations(e.rule)
	if early == nil {
		early = claims.CheckDemands(expect, e.q.Presented)
		e.addError("claims", early, "issuer, audience and times")
	}
	if binding := claims.Binding(expect); early == nil && binding.Bound() {
		e.add("binding", CodeUnknown, "not checked: the ID token is good for one request, sha256:"+binding.String()+", and only a join knows what is requested")
	}
	if early == nil && claims.Issuer() == expect.Issuer {
		e.addError("job", claims.Check(expect, e.q.Presented), "the claims that every job has")
	}
	return claims
}

// tokenRule says whether the token rule takes ID tokens of an issuer at all; of any, if
// it is "". A join is told the same in each case. An administrator knows the rule.
func (e *explainer) tokenRule(issuer string) {
	switch {
	case e.rule.Expired(e.q.Now):
		e.add("token rule", codeTokenNotFound, "it expired at "+e.rule.Metadata.Expires.Format(time.RFC3339))
	case issuer != "" && issuer != e.rule.Issuer():
		e.add("token rule", codeTokenNotFound, fmt.Sprintf("it takes ID tokens of %s, and this one is of %s: the two must be the same letter for letter",
			e.rule.Issuer(), words.Clean(issuer)))
	default:
		e.add("token rule", store.CodeOK, fmt.Sprintf("%s, for bot/%s", e.rule.JoinMethod, e.rule.BotName))
	}
}

func (e *explainer) signature(ctx context.Context) {
	switch {
	case e.q.Verified:
		e.add("signature", store.CodeOK, "verified when the job joined")
		return
	case e.q.IDToken == "":
		e.add("signature", CodeUnknown, "not checked: claims were given without their token")
		return
	}
	stored, err := e.reasons.KeySet(ctx, e.rule.Issuer())
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && len(stored.JWKS) == 0:
		e.add("signature", CodeUnknown, "not checked: no keys of the issuer are stored; run gatepassctl keys refresh")
		return
	case err != nil:
		e.add("signature", CodeUnknown, err.Error())
		return
	}
	// Where the service would ask the issuer first, what it comes to is not known here.
	parsed, keys, err := e.parse(stored.JWKS)
	switch {
	case err != nil:
		e.addError("signature", err, "")
	case stored.Stale(e.q.Now):
		e.add("signature", CodeUnknown, "not checked: the stored keys of the issuer are too old to be used; run gatepassctl keys refresh")
	case !stored.Pinned && !keys.Has(parsed.KeyID(), parsed.Algorithm()):
		e.add("signature", CodeUnknown, fmt.Sprintf("not checked: the key %q is not among the stored ones, and the service asks the issuer for it; run gatepassctl keys refresh", parsed.KeyID()))
	default:
		_, err := parsed.VerifySignature(keys, e.rule.JoinMethod)
		e.addError("signature", err, "verified by the stored keys of the issuer")
	}
}

func (e *explainer) parse(jwks []byte) (*token.Parsed, *token.KeySet, error) {
	parsed, err := token.Parse(e.q.IDToken)
	if err != nil {
		return nil, nil, err
	}
	keys, err := token.ParseKeySet(jwks)
	return parsed, keys, err
}
