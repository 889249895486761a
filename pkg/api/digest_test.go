package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// vector is one of testdata/request-digests.json, which was made by another program.
type vector struct {
	Name          string          `json:"name"`
	Request       api.JoinRequest `json:"request"`
	Keys          []string        `json:"keys"`
	Hashed        string          `json:"hashed"`
	Digest        string          `json:"digest"`
	BoundAudience string          `json:"bound_audience"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/request-digests.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 3 {
		t.Fatalf("%d vectors, want 3 at least", len(all))
	}
	return all
}

// TestRequestDigestVectors holds the digest to what docs/protocol.md says: another
// client makes it too.
func TestRequestDigestVectors(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range vectors(t) {
		digest := v.Request.Digest(v.Keys)
		if digest.String() != v.Digest {
			t.Errorf("%s: digest %s, want %s", v.Name, digest, v.Digest)
		}
		if sum := sha256.Sum256([]byte(v.Hashed)); hex.EncodeToString(sum[:]) != v.Digest {
			t.Errorf("%s: the digest is not that of the bytes beside it", v.Name)
		}
		if got := provider.BoundAudience("https://join.example.com", digest); got != v.BoundAudience {
			t.Errorf("%s: bound audience %s, want %s", v.Name, got, v.BoundAudience)
		}
		if i > 0 {
			continue
		}
		for _, want := range []string{v.Hashed, v.Digest, v.BoundAudience, v.Keys[0], v.Request.Credentials[0].PublicKey} {
			if !strings.Contains(string(page), want) {
				t.Errorf("docs/protocol.md does not show %q of the first vector", want)
			}
		}
	}
}

// TestEveryFieldOfARequestIsInItsDigest holds that whatever decides what is issued is
// bound: a thief who changes it has another request.
func TestEveryFieldOfARequestIsInItsDigest(t *testing.T) {
	const key = "00"
	request := func() *api.JoinRequest {
		return &api.JoinRequest{Token: "t", RetryKey: "r", Credentials: []api.CredentialRequest{{Name: "a", Type: api.TypeSSH}}}
	}
	was := request().Digest([]string{key})
	// Keys count by their fingerprints, and the credentials by what is in them.
	apart := map[string]bool{"PublicKey": true, "CSR": true, "Credentials": true}
	// Nothing of these changes what is issued.
	free := map[string]bool{"JoinMethod": true, "IDToken": true, "TTLSeconds": true, "Client": true}
	check := func(r *api.JoinRequest, v reflect.Value) {
		for i := range v.NumField() {
			name, field := v.Type().Field(i).Name, v.Field(i)
			if apart[name] {
				continue
			}
			before := reflect.New(field.Type()).Elem()
			before.Set(field)
			switch field.Kind() {
			case reflect.String:
				field.SetString("other")
			case reflect.Slice:
				field.Set(reflect.ValueOf([]string{"other"}))
			case reflect.Pointer:
				field.Set(reflect.New(field.Type().Elem()))
			default:
				t.Fatalf("%s is of a kind that this test does not know", name)
			}
			if same := r.Digest([]string{key}) == was; same != free[name] {
				t.Errorf("with another %s the digest is the same: %t, want %t", name, same, free[name])
			}
			field.Set(before)
		}
	}
	r := request()
	check(r, reflect.ValueOf(r).Elem())
	check(r, reflect.ValueOf(&r.Credentials[0]).Elem())
	if r.Digest([]string{"01"}) == was {
		t.Error("with another key the digest is the same")
	}
}

// TestDigestHasNoTwoReadings moves text from one field to the next.
func TestDigestHasNoTwoReadings(t *testing.T) {
	credential := func(c api.CredentialRequest) *api.JoinRequest {
		return &api.JoinRequest{Token: "t", Credentials: []api.CredentialRequest{c}}
	}
	seen := map[api.RequestDigest]int{}
	for i, r := range []*api.JoinRequest{
		{Token: "a\nb", RetryKey: "c"}, {Token: "a", RetryKey: "b\nc"}, // without the lengths
		{Token: "a\n1:b", RetryKey: "c"}, {Token: "a", RetryKey: "b\n1:c"}, // with one length for all
		{Token: "a\n1:b"}, {Token: "a", RetryKey: "b"}, {Token: "ab"}, {Token: "a", RetryKey: "b\n"}, {RetryKey: "ab"},
		credential(api.CredentialRequest{Roles: []string{"a", "b"}}),
		credential(api.CredentialRequest{Roles: []string{"a\n1:b"}}),
		credential(api.CredentialRequest{Roles: []string{"ab"}}),
		credential(api.CredentialRequest{Roles: []string{"a", "b", ""}}),
		credential(api.CredentialRequest{DBUser: "a", DBName: "b"}),
		credential(api.CredentialRequest{DBUser: "b", DBName: "a"}),
		credential(api.CredentialRequest{App: "a"}), credential(api.CredentialRequest{KubernetesUser: "a"}),
		credential(api.CredentialRequest{Audience: "a"}), credential(api.CredentialRequest{}),
		{Token: "t", Credentials: make([]api.CredentialRequest, 2)},
	} {
		digest := r.Digest(make([]string, len(r.Credentials)))
		if other, ok := seen[digest]; ok {
			t.Errorf("requests %d and %d have one digest", other, i)
		}
		seen[digest] = i
	}
}

func TestDigestOfTheSameRequest(t *testing.T) {
	one := &api.JoinRequest{Token: "t", RetryKey: "r", Credentials: []api.CredentialRequest{
		{Name: "a", Type: api.TypeSSH, PublicKey: "one way", Roles: []string{"x", "y"}}, {Name: "b", Type: api.TypeJWT, Audience: "v"}}}
	other := &api.JoinRequest{Token: "t", RetryKey: "r", Credentials: []api.CredentialRequest{
		{Name: "b", Type: api.TypeJWT, Audience: "v"}, {Name: "a", Type: api.TypeSSH, PublicKey: "another", Roles: []string{"y", "x"}}}}
	if one.Digest([]string{"k", ""}) != other.Digest([]string{"", "k"}) {
		t.Error("the order of credentials and roles, or how a key is written, changes the digest")
	}
	if one.Credentials[0].Name != "a" || one.Credentials[0].Roles[0] != "x" || other.Credentials[1].Roles[0] != "y" {
		t.Error("the request was changed")
	}
}

func TestRepeatable(t *testing.T) {
	jwt, ssh := api.CredentialRequest{Type: api.TypeJWT}, api.CredentialRequest{Type: api.TypeSSH}
	for name, tt := range map[string]struct {
		request api.JoinRequest
		want    bool
	}{
		"ssh":                       {api.JoinRequest{Credentials: []api.CredentialRequest{ssh}}, true},
		"jwt":                       {api.JoinRequest{Credentials: []api.CredentialRequest{jwt}}, false},
		"jwt beside ssh":            {api.JoinRequest{Credentials: []api.CredentialRequest{ssh, jwt}}, false},
		"jwt with a retry key":      {api.JoinRequest{RetryKey: "r", Credentials: []api.CredentialRequest{jwt}}, true},
		"ssh with a retry key":      {api.JoinRequest{RetryKey: "r", Credentials: []api.CredentialRequest{ssh}}, true},
		"nothing, without anything": {api.JoinRequest{}, true},
	} {
		if got := tt.request.Repeatable(); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
