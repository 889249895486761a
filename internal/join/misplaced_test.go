package join

import (
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// An ID token in another field would be kept in the log and in a record, and so would its
// first 250 characters, which are short enough for a field.
func TestAnIDTokenInAnotherField(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{Offline: true, Algorithm: issuertest.ES256})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		t.Fatal(err)
	}
	claims := strings.Split(whole, ".")[1]
	for name, put := range map[string]func(*api.JoinRequest, string){
		"token":                     func(r *api.JoinRequest, v string) { r.Token = v },
		"join_method":               func(r *api.JoinRequest, v string) { r.JoinMethod = v },
		"retry_key":                 func(r *api.JoinRequest, v string) { r.RetryKey = v },
		"client.version":            func(r *api.JoinRequest, v string) { r.Client.Version = v },
		"client.os":                 func(r *api.JoinRequest, v string) { r.Client.OS = v },
		"client.arch":               func(r *api.JoinRequest, v string) { r.Client.Arch = v },
		"credentials[0].name":       func(r *api.JoinRequest, v string) { r.Credentials[0].Name = v },
		"credentials[0].type":       func(r *api.JoinRequest, v string) { r.Credentials[0].Type = v },
		"credentials[0].usage":      func(r *api.JoinRequest, v string) { r.Credentials[0].Usage = v },
		"credentials[0].db_user":    func(r *api.JoinRequest, v string) { r.Credentials[0].DBUser = v },
		"credentials[0].audience":   func(r *api.JoinRequest, v string) { r.Credentials[0].Audience = v },
		"credentials[0].roles":      func(r *api.JoinRequest, v string) { r.Credentials[0].Roles = []string{"a", v} },
		"credentials[0].public_key": func(r *api.JoinRequest, v string) { r.Credentials[0].PublicKey = v },
	} {
		for _, v := range []string{whole, whole[:250], whole[:20], claims[:100], "Bearer " + whole[:200], "token=" + whole[:200], "x." + claims[:90]} {
			r := &api.JoinRequest{Token: "example", IDToken: whole, Client: &api.ClientInfo{}, Credentials: []api.CredentialRequest{{Name: "ssh", Type: api.TypeSSH, PublicKey: "any"}}}
			put(r, v)
			err := checkRequest(r)
			if err == nil || asRefusal(err).Problem.Code != api.CodeMalformedRequest {
				t.Fatalf("%s with %.30q: %v", name, v, err)
			}
			if detail := asRefusal(err).Problem.Detail; !strings.Contains(detail, name) || !strings.Contains(detail, "id_token") || strings.Contains(detail, "eyJ") {
				t.Errorf("%s with %.30q: %s", name, v, detail)
			}
		}
	}
	for _, name := range []string{"eyJohnson", "eyJohnsonAdmin", "monkeyJar", "honeyJar-deployer", "eye.jay.kay", "vault.example.com", "https://vault.example.com/eyJ", "prod-eyJar", "3f1c9d2e-eyJa"} {
		if hasJWT(name) {
			t.Errorf("%s is taken for a JWT", name)
		}
	}
}

// TestTheShortestBeginningOfAJWT is of twelve letters; fewer tell too little to be one.
func TestTheShortestBeginningOfAJWT(t *testing.T) {
	const header = "eyJhbGciOiJSUzI1NiJ9"
	for text, want := range map[string]bool{
		header[:11]: false, header[:12]: true, header[:13]: true, header: true, "x " + header[:12] + " y": true,
		"x" + header: false, "eyJ" + "_________": false, "": false, "deploy": false,
	} {
		if got := hasJWT(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

// TestARetryKeyOfAJWTIsLong, since a guess of it gets the JWT. Other credentials need their keys.
func TestARetryKeyOfAJWTIsLong(t *testing.T) {
	for _, tc := range []struct {
		kind    string
		letters int
		want    bool
	}{
		{api.TypeJWT, 0, true}, {api.TypeJWT, 1, false}, {api.TypeJWT, minRetryKey - 1, false}, {api.TypeJWT, minRetryKey, true},
		{api.TypeSSH, 0, true}, {api.TypeSSH, 1, true},
	} {
		c := api.CredentialRequest{Name: "one", Type: tc.kind, PublicKey: "any"}
		if tc.kind == api.TypeJWT {
			c.PublicKey, c.Audience = "", "https://vault.example.com"
		}
		r := &api.JoinRequest{Token: "example", IDToken: "x", RetryKey: strings.Repeat("x", tc.letters), Credentials: []api.CredentialRequest{c}}
		if err := checkRequest(r); (err == nil) != tc.want {
			t.Errorf("%s with a retry key of %d: %v", tc.kind, tc.letters, err)
		}
	}
}
