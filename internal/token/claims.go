package token

import (
	"encoding/json"
	"math"
	"time"
)

// maxTime is the last second of the year 9999, the largest time that is taken.
const maxTime = 253402300799

// claims are a payload as parseObject returns it.
type claims map[string]any

// text returns a required claim that must be a string. A claim that is absent
// or empty is missing; one of another type, null included, is malformed.
func (c claims) text(name string) (string, error) {
	v, ok := c[name]
	if !ok {
		return "", missing(name)
	}
	s, ok := v.(string)
	if !ok {
		return "", mistyped(name, "a string")
	}
	if s == "" {
		return "", missing(name)
	}
	return s, nil
}

// time returns a required claim that must be a NumericDate (RFC 7519 §2).
func (c claims) time(name string) (time.Time, error) {
	v, ok := c[name]
	if !ok {
		return time.Time{}, missing(name)
	}
	t, ok := numericDate(v)
	if !ok {
		return time.Time{}, mistyped(name, "a time in seconds since 1970")
	}
	return t, nil
}

// numericDate turns a number from 0 to maxTime into a time. Fractions are
// allowed (RFC 7519 §2).
func numericDate(v any) (time.Time, bool) {
	switch n := v.(type) {
	case int64:
		return time.Unix(n, 0).UTC(), n >= 0 && n <= maxTime
	case json.Number:
		f, err := n.Float64()
		if err != nil || f < 0 || f > maxTime {
			return time.Time{}, false
		}
		whole, fraction := math.Modf(f)
		return time.Unix(int64(whole), int64(fraction*float64(time.Second))).UTC(), true
	default:
		return time.Time{}, false
	}
}

// audience returns the required claim aud, a string or an array of strings (RFC 7519 §4.1.3).
func (c claims) audience() ([]string, error) {
	v, ok := c["aud"]
	if !ok {
		return nil, missing("aud")
	}
	var list []string
	if s, ok := v.(string); ok {
		list = []string{s}
	} else if list, ok = stringList(v); !ok {
		return nil, mistyped("aud", "a string or an array of strings")
	}
	if len(list) == 0 || len(list) == 1 && list[0] == "" {
		return nil, missing("aud")
	}
	return list, nil
}

// stringList returns v if it is an array of nothing but strings.
func stringList(v any) ([]string, bool) {
	array, ok := v.([]any)
	if !ok {
		return nil, false
	}
	list := make([]string, 0, len(array))
	for _, e := range array {
		s, ok := e.(string)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

func missing(name string) *Error {
	return refuse(MissingClaim, "the ID token has no claim %s, or an empty one; pass the ID token that the CI minted for this job", name)
}

func mistyped(name, want string) *Error {
	return refuse(Malformed, "the ID token's claim %s is not %s; pass the ID token that the CI minted for this job", name, want)
}
