package token_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/token"
)

// TestADetailSaysWhatIsWrong: several refusals share a code, and a later check refuses what
// an earlier one lets pass. People are told the first.
func TestADetailSaysWhatIsWrong(t *testing.T) {
	good := rawToken(goodHeader, `{}`)
	header, signature := b64(goodHeader), b64("signature")
	for name, tc := range map[string]struct{ raw, want string }{
		"empty":                    {"", "is empty"},
		"too long":                 {strings.Repeat("a", 16385), "has 16385 bytes, and at most 16384 are read"},
		"a line break":             {good + "\n", "contains white space"},
		"two segments":             {"a.b", "has 2 parts separated by dots instead of 3"},
		"four segments":            {good + ".a", "has 4 parts separated by dots instead of 3"},
		"a header without base64":  {"!." + b64("{}") + "." + signature, "header is not base64url"},
		"a payload without base64": {header + ".!." + signature, "payload is not base64url"},
		"a signature like that":    {header + "." + b64("{}") + ".!", "signature is not base64url"},
		"a header without JSON":    {b64("{") + "." + b64("{}") + "." + signature, "header is not a well-formed JSON object"},
		"a payload without JSON":   {header + "." + b64("{") + "." + signature, "payload is not a well-formed JSON object"},
		"a payload too deep":       {header + "." + b64(`{"a":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)+"}") + "." + signature, "nested deeper than 16"},
		"an array as the payload":  {header + "." + b64(`[]`) + "." + signature, "not a JSON object"},
		"no alg":                   {rawToken(`{"kid":"k"}`, `{}`), "has no alg"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := token.Parse(tc.raw)
			if codeOf(t, err) != token.Malformed || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

type absent struct{}

// TestADetailNamesTheClaim is the same of verified claims.
func TestADetailNamesTheClaim(t *testing.T) {
	w := ecWorld()
	long := strings.Repeat("a", 150)
	for name, tc := range map[string]struct {
		claim string
		value any
		want  string
	}{
		"azp":                      {"azp", 1, "claim azp is not a string"},
		"aud of another type":      {"aud", 1, "claim aud is not a string or an array of strings"},
		"aud of nothing":           {"aud", []string{}, "no claim aud, or"},
		"aud of an empty text":     {"aud", []string{""}, "no claim aud, or"},
		"no aud":                   {"aud", absent{}, "no claim aud, or"},
		"aud of one":               {"aud", "https://other.example", `for the audience "https://other.example", other`},
		"three audiences":          {"aud", []string{"a", "b", "c"}, `for the audience "a", "b", "c", other`},
		"more than three":          {"aud", []string{"a", "b", "c", "d", "e"}, `for the audience "a", "b", "c", ..., other`},
		"an audience of 150":       {"aud", long, `"` + long + `", other`},
		"an audience of 151":       {"aud", long + "b", `"` + long + `...", other`},
		"a time that is over":      {"exp", now().Add(-time.Hour - time.Millisecond).Unix(), "expired 1h0m1s ago, at 2026-01-02T02:04:04Z; join"},
		"a time with a fraction":   {"exp", json.Number("1767319444.5"), "expired 1h0m0s ago, at 2026-01-02T02:04:04Z; join"},
		"a time that is no number": {"iat", "x", "claim iat is not a time"},
	} {
		t.Run(name, func(t *testing.T) {
			options := claim(tc.claim, tc.value)
			if tc.value == (absent{}) {
				options = without(tc.claim)
			}
			p, err := token.Parse(w.mintBitbucket(t, options...))
			if err != nil {
				t.Fatal(err)
			}
			v, err := p.VerifySignature(w.keys, "bitbucket")
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Check(w.bitbucket(), now()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

// TestAnErrorHasItsCause: the log tells the code, the detail and the cause, in this order.
func TestAnErrorHasItsCause(t *testing.T) {
	cause := errors.New("the cause")
	for _, tc := range []struct {
		err  *token.Error
		want string
	}{
		{&token.Error{Code: token.Malformed, Detail: "detail"}, "id_token_malformed: detail"},
		{&token.Error{Code: token.Malformed, Detail: "detail", Err: cause}, "id_token_malformed: detail: the cause"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
		if errors.Is(tc.err, cause) != (tc.err.Err != nil) {
			t.Errorf("%v: the cause is not in the chain", tc.err)
		}
	}
}

// TestAVerifiedOfNothingIsRefused: a value that VerifySignature did not return passes no check.
func TestAVerifiedOfNothingIsRefused(t *testing.T) {
	if err := new(token.Verified).Check(token.Expect{}, now()); err == nil {
		t.Error("accepted")
	}
}

// TestAnIssuerForALogIsTame: the issuer is the caller's word, and is quoted for one line.
func TestAnIssuerForALogIsTame(t *testing.T) {
	for payload, want := range map[string]string{
		`{"iss":"https://a.example"}`:   `"https://a.example"`,
		`{"iss":"a\n\u202e\u001b[31m"}`: `"a\n\u202e\x1b[31m"`,
		`{}`:                            `""`,
		`{"iss":1}`:                     `""`,
	} {
		p, err := token.Parse(rawToken(goodHeader, payload))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.QuotedIssuer(); got != want {
			t.Errorf("%s: got %s, want %s", payload, got, want)
		}
	}
}
