package token

import (
	"encoding/json"
	"math"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// maxTime is the last second of the year 9999, the largest time that is taken.
const maxTime = 253402300799

// claims are a payload as parseObject returns it.
type claims provider.Claims

// text returns a required claim that must be a string.
func (c claims) text(name string) (string, error) {
	s, refusal := provider.Claims(c).Text(name)
	return s, refused(refusal)
}

// time returns a required claim that must be a NumericDate (RFC 7519 §2).
func (c claims) time(name string) (time.Time, error) {
	v, ok := c[name]
	if !ok {
		return time.Time{}, refused(provider.Missing(name))
	}
	t, ok := numericDate(v)
	if !ok {
		return time.Time{}, refused(provider.Mistyped(name, "a time in seconds since 1970"))
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
		return nil, refused(provider.Missing("aud"))
	}
	var list []string
	if s, ok := v.(string); ok {
		list = []string{s}
	} else if list, ok = stringList(v); !ok {
		return nil, refused(provider.Mistyped("aud", "a string or an array of strings"))
	}
	if len(list) == 0 || len(list) == 1 && list[0] == "" {
		return nil, refused(provider.Missing("aud"))
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
