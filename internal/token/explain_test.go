package token

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestUnverifiedIsReadAsVerifiedIs(t *testing.T) {
	now := time.Unix(1_768_478_400, 0)
	const payload = `{"iss":"https://i.example.com","aud":"a","sub":"s","iat":1768478400,"exp":1768482000,
		"workspaceUuid":"{w}","repositoryUuid":"{r}","stepUuid":"{s}","branchName":"main"}`
	expect := Expect{Method: "bitbucket", Issuer: "https://i.example.com", Audience: "a", MaxAge: time.Hour}
	for _, c := range []struct {
		name, payload string
		change        func(*Expect)
		code          Code // empty if the checks pass
	}{
		{"an honest job", payload, func(*Expect) {}, ""},
		{"another audience", payload, func(e *Expect) { e.Audience = "b" }, WrongAudience},
		{"another issuer", payload, func(e *Expect) { e.Issuer += "/" }, WrongIssuer},
		{"no claims", `{}`, func(*Expect) {}, MissingClaim},
		{"a member twice", `{"iss":"a","iss":"b"}`, func(*Expect) {}, Malformed},
		{"an array", `[]`, func(*Expect) {}, Malformed},
		{"not JSON", `kind: bot`, func(*Expect) {}, Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := expect
			c.change(&e)
			u, err := ParseClaims([]byte(c.payload), "bitbucket")
			if err == nil {
				err = u.Check(e, now)
			}
			var refusal *Error
			if c.code == "" && err != nil || c.code != "" && (!errors.As(err, &refusal) || refusal.Code != c.code) {
				t.Fatalf("got %v, want %q", err, c.code)
			}
			if c.code == "" && !slices.Equal(u.Fields["branch_name"], []string{"main"}) {
				t.Errorf("fields %v", u.Fields)
			}
		})
	}
	if _, err := ParseClaims([]byte(payload), "jenkins"); err == nil {
		t.Error("an unknown method was taken")
	}
}

// The order of the checks decides which code a refusal has.
func TestUnverifiedPrecheckIsTheServicesFirstLook(t *testing.T) {
	now := time.Unix(1_768_478_400, 0)
	expect := Expect{Method: "bitbucket", Issuer: "https://i.example.com", Audience: "a", MaxAge: time.Hour}
	for _, c := range []struct {
		name, payload   string
		first, demanded Code // empty if the checks pass
	}{
		{"no subject and no job are for later", `{"iss":"https://i.example.com","aud":"a","iat":1768478400,"exp":1768482000}`, "", ""},
		{"expired, and without a subject", `{"iss":"https://i.example.com","aud":"a","iat":1,"exp":2}`, Expired, Expired},
		{"no issuer, and expired", `{"aud":"a","iat":1,"exp":2}`, MissingClaim, Expired},
		{"another audience, and expired", `{"iss":"https://i.example.com","aud":"b","iat":1,"exp":2}`, Expired, WrongAudience},
		{"another audience", `{"iss":"https://i.example.com","aud":"b","iat":1768478400,"exp":1768482000}`, "", WrongAudience},
		{"older than its rule allows", `{"iss":"https://i.example.com","aud":"a","iat":1,"exp":1768482000}`, "", TooOld},
		{"another issuer, which is not asked here", `{"iss":"https://j.example.com","aud":"a","iat":1768478400,"exp":1768482000}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := ParseClaims([]byte(c.payload), "bitbucket")
			if err != nil {
				t.Fatal(err)
			}
			parsed := &Parsed{claims: u.Claims}
			is := func(who string, err error, want Code) {
				var refusal *Error
				if want == "" && err != nil || want != "" && (!errors.As(err, &refusal) || refusal.Code != want) {
					t.Errorf("%s: got %v, want %q", who, err, want)
				}
			}
			is("unverified", u.Precheck(now), c.first)
			is("service", parsed.Precheck(now), c.first)
			is("demands", u.CheckDemands(expect, now), c.demanded)
			if u.Issuer() != parsed.Issuer() {
				t.Errorf("the issuers are %q and %q", u.Issuer(), parsed.Issuer())
			}
		})
	}
}
