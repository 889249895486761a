// Package token verifies the OIDC ID tokens that CI systems mint for their jobs.
//
// A token goes through five steps, in this order, cheap ones first:
//
//	p, err := token.Parse(raw)              // 1: form and header, nothing believed
//	err = p.Precheck(now)                   // 2: unverified claims may refuse, never accept
//	v, err := p.VerifySignature(keys, m)    // 3: by a key of the rule's issuer
//	err = v.Check(expect, now)              // 4 and 5: the claims, then the CI's own
//
// Only a Verified that passed Check may be acted upon. A Verified that did not
// is still known to come from the issuer, so its refusal can be recorded with
// its claims.
//
// What differs from one CI to the next is in package provider. The package is pure: keys and clock are handed in.
package token
