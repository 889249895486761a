package provider

import "slices"

// Claims are those of an ID token, by the CI's own names: nil, bool, string, int64,
// json.Number, []any and map[string]any.
type Claims map[string]any

// Text returns a required claim. One that is absent or empty is missing; one of
// another type, null included, is malformed.
func (c Claims) Text(name string) (string, *Refusal) {
	v, ok := c[name]
	if !ok {
		return "", Missing(name)
	}
	s, ok := v.(string)
	if !ok {
		return "", Mistyped(name, "a string")
	}
	if s == "" {
		return "", Missing(name)
	}
	return s, nil
}

// Missing is the refusal of an ID token that lacks a claim.
func Missing(claim string) *Refusal {
	return &Refusal{"id_token_missing_claim", "the ID token has no claim " + claim + ", or an empty one; pass the ID token that the CI minted for this job"}
}

// Mistyped is the refusal of an ID token whose claim is of another type.
func Mistyped(claim, want string) *Refusal {
	return &Refusal{"id_token_malformed", "the ID token's claim " + claim + " is not " + want + "; pass the ID token that the CI minted for this job"}
}

// Read returns what the rules can test of claims, by the names of their fields. What is
// absent, empty or of another type is left out, so that no rule can match it.
func (p *Provider) Read(c Claims) map[string][]string {
	fields := make(map[string][]string, len(p.Fields))
	for _, f := range p.Fields {
		if values := f.read(c[f.Claim]); len(values) > 0 {
			fields[f.Name] = values
		}
	}
	return fields
}

// registered are the claims that ID tokens of every CI may have (RFC 7519, section 4.1, and
// OpenID Connect Core, section 2).
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp"}

// ClaimNames returns the names of all claims that the CI's ID tokens may have.
func (p *Provider) ClaimNames() []string {
	names := slices.Concat(registered, p.Required, p.Others)
	for _, f := range p.Fields {
		names = append(names, f.Claim)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Claimed returns what a claim has for a rule's field to read value.
func (f *Field) Claimed(value any) any {
	if _, list := value.([]any); f.Many && value != nil && !list {
		return []any{value}
	}
	return value
}

func (f *Field) read(claim any) []string {
	if !f.Many {
		if s, ok := claim.(string); ok && s != "" {
			return []string{s}
		}
		return nil
	}
	list, ok := claim.([]any)
	if !ok {
		return nil
	}
	var values []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil
		}
		if s != "" {
			values = append(values, s)
		}
	}
	return values
}

// CheckJob is the CI's own check of verified claims: that they are a job's, and what
// more the CI asks.
func (p *Provider) CheckJob(c Claims, s *Section) *Refusal {
	for _, name := range p.Required {
		if _, refusal := c.Text(name); refusal != nil {
			return refusal
		}
	}
	if p.Check == nil {
		return nil
	}
	return p.Check(c, s)
}

// OfClaims returns the one provider whose required claims are all there, for claims of
// which nobody says what they are of; nil if there is none.
func OfClaims(c Claims) *Provider {
	for _, p := range All() {
		if p.hasRequired(c) {
			return p
		}
	}
	return nil
}

func (p *Provider) hasRequired(c Claims) bool {
	for _, name := range p.Required {
		if _, refusal := c.Text(name); refusal != nil {
			return false
		}
	}
	return len(p.Required) > 0
}
