package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// encodeBounded encodes a record, which must fit and be readable, and returns it as read.
func encodeBounded(t *testing.T, given store.Record) store.Record {
	t.Helper()
	body, err := store.EncodeRecord(given)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > store.MaxRecordBytes {
		t.Errorf("encoded to %d bytes, more than %d", len(body), store.MaxRecordBytes)
	}
	got, err := store.DecodeRecord(given.JoinID, body)
	if err != nil {
		t.Fatalf("what was encoded cannot be decoded: %v", err)
	}
	return got
}

// JSON writes some characters in six bytes. A bound in bytes of the claims let a job make
// records that DynamoDB refuses, and a refusal that cannot be recorded hides a probe.
func TestARecordIsBoundedAsEncoded(t *testing.T) {
	long := func(s string, n int) string { return strings.Repeat(s, n) }
	rule := func(i, n int) store.RuleMismatch {
		return store.RuleMismatch{Rule: i, Fields: []store.FieldMismatch{{Field: "branch_name", Want: long("<", n), Got: []string{long("\x01", n), "main"}}}}
	}
	var rules, hugeRules []store.RuleMismatch
	for i := range 1000 {
		rules = append(rules, rule(i, 20))
	}
	for i := range 10 {
		hugeRules = append(hugeRules, rule(i, 20<<10))
	}
	manyClaims := map[string]any{}
	for i := range 5_000 {
		manyClaims[fmt.Sprint("claim-number-", i)] = i
	}
	var credentials []store.RecordCredential
	principals := make([]string, 256)
	for i := range principals {
		principals[i] = long("p", 200)
	}
	for i := range api.MaxCredentials {
		credentials = append(credentials, store.RecordCredential{Name: long("\u2028", 80), Type: "ssh", Serial: fmt.Sprint(i), Principals: principals, Roles: principals, Subject: long("O=system,", 10_000)})
	}
	for name, given := range map[string]store.Record{
		"claims of <":                   {Claims: map[string]any{"branchName": long("<", 40<<10), "sub": "job"}},
		"claims of >":                   {Claims: map[string]any{"branchName": long(">", 200<<10), "sub": "job"}},
		"control characters":            {Claims: map[string]any{"branchName": long("\x1b", 16<<10), "sub": "job"}},
		"line separators":               {Claims: map[string]any{"branchName": long("\u2028", 16<<10), "sub": "job"}},
		"bytes that are not UTF-8":      {Claims: map[string]any{"branchName": long("\xff", 32<<10), "sub": "job"}},
		"a name of a claim":             {Claims: map[string]any{long("&", 80<<10): true, "sub": "job"}},
		"a long number":                 {Claims: map[string]any{"n": json.Number("1" + long("0", 80<<10)), "sub": "job"}},
		"a deep value":                  {Claims: map[string]any{"deep": nested(900, long("\x00", 10<<10)), "sub": "job"}},
		"more claims than fit":          {Claims: manyClaims},
		"a thousand rules":              {Claims: map[string]any{"sub": "job"}, Mismatches: rules},
		"huge rules":                    {Claims: map[string]any{"sub": "job"}, Mismatches: hugeRules},
		"credentials of long lists":     {Claims: map[string]any{"sub": "job"}, Credentials: credentials},
		"texts that nobody has bounded": {Detail: long("<", 80<<10), Token: long("\x00", 80<<10), Bot: long("b", 80<<10), Lock: long("l", 80<<10), Client: &api.ClientInfo{Version: long("\x7f", 80<<10)}},
		"all of it":                     {Claims: map[string]any{"branchName": long("<", 90<<10), "sub": "job"}, Mismatches: hugeRules, Credentials: credentials},
	} {
		t.Run(name, func(t *testing.T) {
			given.JoinID, given.Time = "01J", time.Now()
			before := fmt.Sprint(len(given.Claims), len(given.Mismatches), given.Credentials)
			got := encodeBounded(t, given)
			if before != fmt.Sprint(len(given.Claims), len(given.Mismatches), given.Credentials) {
				t.Error("EncodeRecord changed the record that it was given")
			}
			if given.Claims["sub"] != nil && got.Claims["sub"] != "job" {
				t.Errorf("the claim sub became %v", got.Claims["sub"])
			}
			if n := len(given.Claims) - len(got.Claims); n > got.ClaimsCut {
				t.Errorf("%d claims are missing and %d are said to be cut", n, got.ClaimsCut)
			}
			if len(got.Mismatches)+got.MismatchesLeftOut != len(given.Mismatches) {
				t.Errorf("%d mismatches and %d left out, of %d", len(got.Mismatches), got.MismatchesLeftOut, len(given.Mismatches))
			}
			for i := range given.Credentials {
				if got.Credentials[i].Serial != given.Credentials[i].Serial {
					t.Errorf("the serial of credential %d became %q", i, got.Credentials[i].Serial)
				}
			}
		})
	}
}

func nested(depth int, leaf any) any {
	for range depth {
		leaf = []any{leaf}
	}
	return leaf
}

// A cut says so where it is, and in the count.
func TestACutSaysSo(t *testing.T) {
	got := encodeBounded(t, store.Record{JoinID: "01J", Claims: map[string]any{
		"branchName": strings.Repeat("é<", 100<<10), "list": []any{strings.Repeat("x", 70<<10)}, "short": "whole"}})
	if got.ClaimsCut != 2 || got.Claims["short"] != "whole" {
		t.Errorf("%d claims are cut, and short is %v", got.ClaimsCut, got.Claims["short"])
	}
	for name, begins := range map[string]string{"branchName": "é<é<", "list": `["xxx`} {
		text, _ := got.Claims[name].(string)
		if !strings.HasPrefix(text, begins) || !strings.Contains(text, "… (cut, ") || !utf8.ValidString(text) {
			t.Errorf("the claim %s became %.60q", name, text)
		}
	}
	whole := encodeBounded(t, store.Record{JoinID: "01J", Claims: map[string]any{"branchName": strings.Repeat("<", 48<<10)}})
	if whole.ClaimsCut != 0 || whole.Claims["branchName"] != strings.Repeat("<", 48<<10) {
		t.Error("a claim that fits was cut")
	}
}

// FuzzRecordIsBounded has claims, rules and values of any content.
func FuzzRecordIsBounded(f *testing.F) {
	f.Add("branchName", "<script>", 40_000, 10)
	f.Add("\u2028", "\x00\xff", 60_000, 1000)
	f.Add("sub", "\U0001F600", 9_000, 3)
	f.Fuzz(func(t *testing.T, name, value string, times, many int) {
		times, many = min(max(times, 0), 1<<16/(len(value)+1)), min(max(many, 0), 200)
		long := strings.Repeat(value, times)
		if len(name)+len(value) > 1<<12 {
			t.Skip("as long as no ID token is")
		}
		r := store.Record{JoinID: "01J", Detail: value, Claims: map[string]any{name: long, "nested": map[string]any{long: []any{value, long}}}}
		for i := range many {
			r.Claims[fmt.Sprint(name, i)] = value
			r.Mismatches = append(r.Mismatches, store.RuleMismatch{Rule: i, Fields: []store.FieldMismatch{{Field: name, Want: value, Got: []string{long[:len(long)/(i+1)], value}}}})
		}
		got := encodeBounded(t, r)
		if len(got.Mismatches)+got.MismatchesLeftOut != many {
			t.Errorf("%d mismatches and %d left out, of %d", len(got.Mismatches), got.MismatchesLeftOut, many)
		}
	})
}
