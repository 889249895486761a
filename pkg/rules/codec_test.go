package rules_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// sameAfterAll checks every way that a resource can take and come back.
func sameAfterAll(t *testing.T, r rules.Resource) {
	t.Helper()
	encoded, err := rules.Encode(r)
	if err != nil {
		t.Fatalf("encoding what was parsed: %v", err)
	}
	decoded, err := rules.Decode(encoded)
	if err != nil {
		t.Fatalf("decoding %s: %v", encoded, err)
	}
	if diff := cmp.Diff(r, decoded); diff != "" {
		t.Errorf("decoded, -was +is:\n%s", diff)
	}
	if again, err := rules.Encode(decoded); err != nil || !bytes.Equal(encoded, again) {
		t.Errorf("encoded twice:\n%s\n%s\n%v", encoded, again, err)
	}
	written, err := rules.MarshalYAML(r)
	if err != nil {
		t.Fatalf("writing YAML: %v", err)
	}
	for _, text := range [][]byte{written, encoded} {
		docs, warnings, err := rules.Parse("again.yaml", text)
		if err != nil || len(docs) != 1 || len(warnings) > 0 {
			t.Fatalf("parsing again: %v %v\n%s", err, warnings, text)
		}
		if diff := cmp.Diff(r, docs[0].Resource); diff != "" {
			t.Errorf("parsed again, -was +is:\n%s", diff)
		}
	}
	// The YAML parser has to take the JSON as well, be it told that it is JSON or not.
	docs, _, err := rules.Parse("again.yaml", append([]byte("---\n"), encoded...))
	if err != nil || len(docs) != 1 || !cmp.Equal(r, docs[0].Resource) {
		t.Errorf("JSON read as YAML: %v\n%s", err, encoded)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, document := range []string{everything, guides} {
		for _, r := range parse(t, document) {
			sameAfterAll(t, r)
		}
	}
	const odd = `
kind: bot
version: v1
metadata:
  name: odd
  description: "größe 🚀 <&> \u2028\u2029 \"double\" 'single' \\ \t # : - ? %\nnext line\n\n trailing "
  labels: {empty: "", "yes": "no", "1": "1e3", "null": "~", "2100-01-01": "0x1f", "<<": "=", "a: b": "- c", "x": "y "}
spec: {traits: [{name: t, values: ["true", "null", "1.0", "~", "- a", "*x", "&x", "!x", "%x", "@x", "{{internal.x}}"]}]}
`
	sameAfterAll(t, parseOne[*rules.Bot](t, odd))
}

func TestMarshalYAMLIsWhatPeopleWrite(t *testing.T) {
	got, err := rules.MarshalYAML(parseOne[*rules.TokenRule](t, bitbucketYAML))
	if err != nil {
		t.Fatal(err)
	}
	const want = `kind: token
version: v2
metadata:
  name: example-bot
  expires: "2100-01-01T00:00:00Z"
spec:
  roles:
    - Bot
  join_method: bitbucket
  bot_name: example
  max_joins: 1
  max_token_age: 1h
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: https://join.example.com
    allow:
      - workspace_uuid: '{922e118c-f34f-4226-a897-0e0afbec553d}'
        repository_uuid: '{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}'
        branch_name: main
    deny:
      - branch_name: legacy
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Stores hold this form: it may gain fields, and what it has must stay readable.
func TestEncodedForm(t *testing.T) {
	var got []byte
	for _, r := range parse(t, everything) {
		encoded, err := rules.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(append(got, encoded...), '\n')
	}
	golden := filepath.Join("testdata", "encoded.jsonl")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s, -want +got:\n%s", golden, diff)
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	var none *rules.Bot
	for name, r := range map[string]rules.Resource{
		"nothing":                    nil,
		"no bot":                     none,
		"a bot without name":         &rules.Bot{},
		"a rule without ids":         &rules.TokenRule{Metadata: rules.Metadata{Name: "a"}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "b", MaxJoins: 1, Sections: circle("vcs_ref", "x")},
		"max_joins of 0":             &rules.TokenRule{Metadata: rules.Metadata{Name: "a"}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "b", Sections: circle("project_id", project)},
		"a rule of no field":         &rules.TokenRule{Metadata: rules.Metadata{Name: "a"}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "b", MaxJoins: 1, Sections: circle("project_id", project, "branch_name", "main")},
		"a rule field twice":         &rules.TokenRule{Metadata: rules.Metadata{Name: "a"}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "b", MaxJoins: 1, Sections: circle("project_id", project, "vcs_ref", "a", "vcs_ref", "b")},
		"an empty rule field":        &rules.TokenRule{Metadata: rules.Metadata{Name: "a"}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "b", MaxJoins: 1, Sections: circle("project_id", project, "vcs_ref", "")},
		"a token rule without roles": &rules.TokenRule{Metadata: rules.Metadata{Name: "a"}, JoinMethod: "circleci", BotName: "b", MaxJoins: 1, Sections: circle("project_id", project)},
		"a section of another":       &rules.TokenRule{Metadata: rules.Metadata{Name: "a"}, Roles: []string{"Bot"}, JoinMethod: "bitbucket", BotName: "b", MaxJoins: 1, Sections: circle("project_id", project)},
		"a lock of nothing":          &rules.Lock{Metadata: rules.Metadata{Name: "a"}},
		"a role of version 9":        &rules.Role{Metadata: rules.Metadata{Name: "a"}, Version: "v9"},
		"an empty login":             &rules.Role{Metadata: rules.Metadata{Name: "a"}, Version: "v7", Allow: rules.Conditions{Logins: []string{""}}},
		"invalid UTF-8":              &rules.Bot{Metadata: rules.Metadata{Name: "a", Description: "\xff"}},
		"negative duration":          &rules.Bot{Metadata: rules.Metadata{Name: "a"}, MaxSessionTTL: -time.Second},
		"too much":                   &rules.Bot{Metadata: rules.Metadata{Name: "a"}, Traits: manyTraits()},
	} {
		if got, err := rules.Encode(r); err == nil {
			t.Errorf("%s is encoded: %.200s", name, got)
		}
	}
}

// manyTraits are within the limits of each trait, and more than a store takes.
func manyTraits() []rules.Trait {
	var traits []rules.Trait
	for i := range 100 {
		trait := rules.Trait{Name: fmt.Sprintf("t%d", i)}
		for j := range 20 {
			trait.Values = append(trait.Values, strings.Repeat("x", 200+j))
		}
		traits = append(traits, trait)
	}
	return traits
}

// circle is a section with one allow rule.
func circle(pairs ...string) rules.Sections {
	return rules.Sections{"circleci": {Settings: values("organization_id", project), Allow: []provider.Values{values(pairs...)}}}
}

func TestEncodeBringsValuesIntoOneForm(t *testing.T) {
	a, err := rules.Encode(&rules.Lock{Metadata: rules.Metadata{Name: "a", Labels: map[string]string{}}, Target: rules.Target{All: true},
		Expires: time.Date(2100, 1, 1, 2, 0, 0, 0, time.FixedZone("", 2*60*60))})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"kind":"lock","version":"v2","metadata":{"name":"a"},"spec":{"target":{"all":true},"expires":"2100-01-01T00:00:00Z"}}`; string(a) != want {
		t.Errorf("got  %s\nwant %s", a, want)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	encoded, err := rules.Encode(parseOne[*rules.TokenRule](t, bitbucketYAML))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new string }{
		{"unknown field", `"max_joins":1`, `"max_joins":1,"max_join":1`},
		{"field in another case", `"max_joins"`, `"Max_joins"`},
		{"field twice", `"max_joins":1`, `"max_joins":1,"max_joins":2`},
		{"field of the document twice", `"kind":"token"`, `"kind":"token","kind":"bot"`},
		{"unknown field of the document", `"kind":"token"`, `"kind":"token","x":1`},
		{"no spec", `"spec":{`, `"metadata2":{`},
		{"unknown kind", `"kind":"token"`, `"kind":"user"`},
		{"another kind", `"kind":"token"`, `"kind":"bot"`},
		{"another version", `"version":"v2"`, `"version":"v1"`},
		{"trailing data", `"branch_name":"legacy"}]}}}`, `"branch_name":"legacy"}]}}}{}`},
		{"cut short", `"branch_name":"legacy"}]}}}`, `"branch_name":"legacy"}]}}`},
		{"invalid UTF-8", `"branch_name":"main"`, "\"branch_name\":\"\xff\""},
		// Each of these would make the rule match more than it says.
		{"empty branch", `"branch_name":"main"`, `"branch_name":""`},
		{"branch null", `"branch_name":"main"`, `"branch_name":null`},
		{"branch of another type", `"branch_name":"main"`, `"branch_name":["main"]`},
		{"unknown field of a rule", `"branch_name":"main"`, `"branch_nam":"main"`},
		{"field of another CI's rule", `"branch_name":"main"`, `"vcs_ref":"main"`},
		{"field of a rule twice", `"branch_name":"main"`, `"branch_name":"main","branch_name":"dev"`},
		{"field of a rule that is a flag", `"branch_name":"main"`, `"branch_name":true`},
		{"unknown setting", `"audience":`, `"audienc":"x","audience":`},
		{"setting twice", `"audience":`, `"audience":"x","audience":`},
		{"setting that is a flag", `"audience":"https://join.example.com"`, `"audience":true`},
		{"setting null", `"audience":"https://join.example.com"`, `"audience":null`},
		{"unknown flag", `"audience":`, `"allow_forks":true,"audience":`},
		{"unknown flag that is false", `"audience":`, `"allow_forks":false,"audience":`},
		{"flag that is a text", `"audience":`, `"enable_glob_matching":"true","audience":`},
		{"deny null", `"deny":[{"branch_name":"legacy"}]`, `"deny":null`},
		{"deny rule null", `{"branch_name":"legacy"}`, `null`},
		{"deny of another type", `"deny":[{"branch_name":"legacy"}]`, `"deny":{"branch_name":"legacy"}`},
		{"section null", `"bot_name":"example"`, `"bot_name":"example","circleci":null`},
		{"section of another CI", `"bot_name":"example"`, `"bot_name":"example","circleci":{"organization_id":"00000000-0000-0000-0000-000000000001","allow":[{"project_id":"00000000-0000-0000-0000-000000000001"}]}`},
		{"section of no CI", `"bot_name":"example"`, `"bot_name":"example","jenkins":{"allow":[]}`},
		{"method of no CI", `"join_method":"bitbucket"`, `"join_method":"jenkins"`},
		{"no roles", `"roles":["Bot"],`, ``},
		{"max_joins null", `"max_joins":1`, `"max_joins":null`},
		{"empty workspace", `"workspace_uuid":"{922e118c-f34f-4226-a897-0e0afbec553d}"`, `"workspace_uuid":""`},
		{"empty end", `"expires":"2100-01-01T00:00:00Z"`, `"expires":""`},
		{"end null", `"expires":"2100-01-01T00:00:00Z"`, `"expires":null`},
		{"empty deny rule", `{"branch_name":"legacy"}`, `{}`},
		{"max_joins above the limit", `"max_joins":1`, `"max_joins":1000`},
		{"max_joins with a fraction", `"max_joins":1`, `"max_joins":1.5`},
		{"max_joins with an exponent", `"max_joins":1`, `"max_joins":1e1`},
		{"no age", `"max_token_age":"1h"`, `"max_token_age":"0s"`},
		{"invalid issuer", `https://api.bitbucket.org`, `http://api.bitbucket.org`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := rules.Decode([]byte(edit(t, string(encoded), tt.old, tt.new))); err == nil || r != nil {
				t.Errorf("decoded: %+v, %v", r, err)
			}
		})
	}
	for _, data := range []string{"", "null", "[]", "{}", `"x"`, `{"kind":"lock","spec":null}`, `{"kind":"lock","spec":[]}`, strings.Repeat(" ", 1<<20) + string(encoded)} {
		if r, err := rules.Decode([]byte(data)); err == nil || r != nil {
			t.Errorf("decoded %.50q: %+v", data, r)
		}
	}
}

func FuzzDecode(f *testing.F) {
	requireSeeds(f, "FuzzDecode")
	for _, r := range parse(f, everything) {
		encoded, err := rules.Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := rules.Decode(data)
		if err != nil {
			if r != nil {
				t.Fatal("a resource beside an error")
			}
			return
		}
		sameAfterAll(t, r)
	})
}

func FuzzParse(f *testing.F) {
	requireSeeds(f, "FuzzParse")
	f.Add([]byte(everything))
	f.Add([]byte(exported))
	f.Add([]byte(guides))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, _, err := rules.Parse("fuzz.yaml", data)
		if err != nil {
			found, ok := err.(rules.Errors)
			if !ok || len(found) == 0 || len(docs) > 0 {
				t.Fatalf("%d documents and the error %#v", len(docs), err)
			}
			for i, e := range found {
				if e.Line < 1 || e.Message == "" || i > 0 && e.Line < found[i-1].Line {
					t.Errorf("error %d of %+v", i, found)
				}
			}
			return
		}
		var all []rules.Resource
		for _, d := range docs {
			sameAfterAll(t, d.Resource)
			all = append(all, d.Resource)
		}
		rules.Lint(all)
	})
}

// FuzzRoundTrip puts arbitrary text into valid documents, which fuzzing whole
// files would seldom arrive at.
func FuzzRoundTrip(f *testing.F) {
	requireSeeds(f, "FuzzRoundTrip")
	f.Add("a text", "a value", "{{internal.logins}}", "main", int64(3600), int64(4102444800))
	f.Fuzz(func(t *testing.T, prose, value, grant, pattern string, seconds, end int64) {
		meta := rules.Metadata{Name: "fuzz", Description: prose, Labels: map[string]string{"l": prose, value: value}}
		for _, r := range []rules.Resource{
			&rules.Bot{Metadata: meta, Roles: []string{"r"}, Traits: []rules.Trait{{Name: "t", Values: []string{value}}}, MaxSessionTTL: time.Duration(seconds) * time.Second},
			&rules.Role{Metadata: meta, Version: "v7", Allow: rules.Conditions{DBUsers: []string{grant}, Logins: []string{grant}, JWTAudiences: []string{grant}},
				Options: rules.Options{ForceCommand: value, CertExtensions: []rules.CertExtension{{Type: "ssh", Mode: "extension", Name: grant, Value: value}}}},
			&rules.Role{Metadata: meta, Version: "v8", Allow: rules.Conditions{Logins: []string{"x"}, NodeLabels: map[string][]string{value: {grant, pattern}, "env": {value}}}},
			&rules.Role{Metadata: meta, Version: "v3", Deny: rules.Conditions{AppNames: []string{grant}, KubernetesGroups: []string{value}}},
			&rules.TokenRule{Metadata: rules.Metadata{Name: "fuzz", Expires: time.Unix(end, 0)}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "b", MaxJoins: 1, MaxTokenAge: time.Hour,
				Sections: rules.Sections{"circleci": {Settings: values("organization_id", project, "audience", value, "issuer", "https://"+pattern),
					Allow: []provider.Values{values("project_id", project, "vcs_ref", pattern)}}}},
			&rules.Lock{Metadata: meta, Target: rules.Target{All: true}, Message: prose, Expires: time.Unix(end, 0)},
		} {
			encoded, err := rules.Encode(r)
			if err != nil {
				continue // not valid
			}
			canonical, err := rules.Decode(encoded)
			if err != nil {
				t.Fatalf("encoded, but not decoded: %v\n%s", err, encoded)
			}
			sameAfterAll(t, canonical)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, r := range parse(b, everything) {
		encoded, err := rules.Encode(r)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(r.Kind())+"/"+r.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rules.Decode(encoded); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
