package resources

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// compile checks a schema by draft-07's own and makes it ready.
func compile(t *testing.T, text []byte, err error) *jsonschema.Schema {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if compiled.DraftVersion != 7 {
		t.Errorf("draft %d, and editors understand 7", compiled.DraftVersion)
	}
	return compiled
}

func resources(t *testing.T) *jsonschema.Schema {
	text, err := resourcesSchema()
	return compile(t, text, err)
}

// values are the documents of a file as an editor sees them: times are text.
func values(t *testing.T, data []byte) (all []any) {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if v := value(t, doc.Content[0]); v != nil {
			all = append(all, v)
		}
	}
}

func value(t *testing.T, n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = value(t, n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, child := range n.Content {
			list = append(list, value(t, child))
		}
		return list
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		return json.Number(n.Value)
	}
	return n.Value
}

// blocks returns the fenced blocks of a page whose info string is info.
func blocks(t *testing.T, page, info string) (all []string) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(data), "\n```")
	for i := 1; i+1 < len(parts); i += 2 {
		if got, text, _ := strings.Cut(parts[i], "\n"); got == info {
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no blocks of %s", page, info)
	}
	return all
}

// samples are the files of resources that there are in this repository, by name.
func samples(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for i, text := range blocks(t, "../../../docs/rules.md", "yaml") {
		all["docs/rules.md, block "+strconv.Itoa(i)] = text
	}
	guides, err := filepath.Glob("../service/guides/*.yaml")
	if err != nil || len(guides) < 4 {
		t.Fatalf("%d guides, %v", len(guides), err)
	}
	for _, name := range append(guides, "../../../pkg/rules/testdata/encoded.jsonl") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if strings.HasSuffix(name, ".jsonl") {
			text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n---\n")
		}
		text = strings.NewReplacer("BITBUCKET_ISSUER", "https://localhost:1/x", "CIRCLECI_ISSUER", "https://localhost:1/y").Replace(text)
		if !strings.Contains(text, "kind") {
			continue // tbot.yaml
		}
		all[name] = text
	}
	return all
}

// seeds are the inputs that a fuzz target starts from.
func seeds(t *testing.T, target string) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../../../pkg/rules/testdata/fuzz/" + target + "/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds of %s: %v", target, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(data), "\n") {
			quoted, ok := strings.CutPrefix(line, "[]byte(")
			if !ok {
				continue
			}
			text, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
	}
	return all
}

// An editor must never underline what apply takes.
func TestWhatIsValidIsAccepted(t *testing.T) {
	s := resources(t)
	check := func(t *testing.T, text string) {
		for _, v := range values(t, []byte(text)) {
			if err := s.Validate(v); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		}
	}
	for name, text := range samples(t) {
		t.Run(name, func(t *testing.T) {
			if docs, _, err := rules.Parse("sample.yaml", []byte(text)); err != nil || len(docs) == 0 {
				t.Fatalf("the sample is not valid: %v\n%s", err, text)
			}
			check(t, text)
		})
	}
	for _, tt := range []struct{ document, old, new string }{
		{role, "1h", ".5h"}, {role, "1h", "+1h"}, {role, "1h", "1.h30m"}, {role, "1h", "60000000µs"}, {role, "1h", "60000000μs"},
		{role, "[deploy]", `["{{internal.logins}}"]`}, {role, "[deploy]", `["{{ external.logins }}"]`}, {role, "[deploy]", `["{{\tinternal.logins}}"]`},
		{role, "[deploy]", "[deploy], node_labels: {env: [a, b], tier: web}"}, {role, "[deploy]", "[deploy], node_labels: {'*': ['*']}"},
		{bot, "[deployer]", "[]"}, {bot, "[deployer]", "[], traits: [{name: logins, values: []}]"},
		{bitbucketRule, "{922e118c", "{922E118C"}, {bitbucketRule, `"{922e118c-f34f-4226-a897-0e0afbec553d}"`, "922e118c-f34f-4226-a897-0e0afbec553d"},
		{bitbucketRule, "name: example-bot", "name: example-bot, expires: 2100-01-01T00:00:00.5+02:00"},
		{circleciRule, "allow: [", "deny: [], allow: ["},
	} {
		text := strings.Replace(tt.document, tt.old, tt.new, 1)
		if docs, _, err := rules.Parse("edge.yaml", []byte(text)); err != nil || len(docs) != 1 || text == tt.document {
			t.Errorf("not valid: %v\n%s", err, text)
			continue
		}
		check(t, text)
	}
	valid := 0
	for _, text := range seeds(t, "FuzzParse") {
		if docs, _, err := rules.Parse("seed.yaml", []byte(text)); err == nil && len(docs) > 0 {
			valid++
			check(t, text)
		}
	}
	if valid == 0 {
		t.Error("no seed of FuzzParse is valid")
	}
}

const (
	bot = `{kind: bot, version: v1, metadata: {name: example}, spec: {roles: [deployer]}}`

	bitbucketRule = `{kind: token, version: v2, metadata: {name: example-bot}, spec: {roles: [Bot], join_method: bitbucket, bot_name: example,
		bitbucket: {identity_provider_url: "https://api.bitbucket.org/x", audience: "https://join.example.com",
		allow: [{workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}"}]}}}`
	circleciRule = `{kind: token, version: v2, metadata: {name: circle-bot}, spec: {roles: [Bot], join_method: circleci, bot_name: example,
		circleci: {organization_id: 00000000-0000-0000-0000-000000000001, allow: [{project_id: 00000000-0000-0000-0000-000000000003}]}}}`
	role = `{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy]}, options: {max_session_ttl: 1h}}}`
	lock = `{kind: lock, version: v2, metadata: {name: stop}, spec: {target: {bot: example}}}`
)

// What is wrong is underlined, and apply refuses it as well.
func TestWhatIsWrongIsRefused(t *testing.T) {
	s := resources(t)
	tests := []struct{ name, document, old, new string }{
		{"no kind", bot, "kind: bot, ", ""},
		{"another kind", bot, "kind: bot", "kind: user"},
		{"another version", bot, "version: v1", "version: v2"},
		{"no name", bot, "{name: example}", "{}"},
		{"name in capitals", bot, "name: example", "name: Example"},
		{"an unknown field", bot, "roles:", "rolez:"},
		{"an unknown field beside spec", bot, "spec:", "extra: 1, spec:"},
		{"one role without a list", bot, "[deployer]", "deployer"},
		{"a role that is a number", bot, "[deployer]", "[1]"},
		{"an end of a bot", bot, "{name: example}", "{name: example, expires: 2100-01-01T00:00:00Z}"},
		{"a trait without a name", bot, "roles: [deployer]", "traits: [{values: [a]}]"},
		{"roles of a server", bitbucketRule, "[Bot]", "[Node]"},
		{"a further role", bitbucketRule, "[Bot]", "[Bot, Node]"},
		{"another join method", bitbucketRule, "join_method: bitbucket", "join_method: jenkins"},
		{"the section of the other method", bitbucketRule, "join_method: bitbucket", "join_method: circleci"},
		{"no bot", bitbucketRule, "bot_name: example,", ""},
		{"no audience", bitbucketRule, `audience: "https://join.example.com",`, ""},
		{"no allow rule", bitbucketRule, `[{workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}"}]`, "[]"},
		{"an allow rule of any workspace", bitbucketRule, `workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}"`, "branch_name: main"},
		{"a name in place of an id", bitbucketRule, `"{922e118c-f34f-4226-a897-0e0afbec553d}"`, "acme"},
		{"an id with one brace", bitbucketRule, `"{922e118c-f34f-4226-a897-0e0afbec553d}"`, `"{922e118c-f34f-4226-a897-0e0afbec553d"`},
		{"an issuer with a slash", bitbucketRule, "bitbucket.org/x", "bitbucket.org/x/"},
		{"an issuer without TLS", bitbucketRule, "https://api", "http://api"},
		{"too many joins", bitbucketRule, "bot_name: example", "bot_name: example, max_joins: 101"},
		{"joins in quotes", bitbucketRule, "bot_name: example", `bot_name: example, max_joins: "2"`},
		{"an age in days", bitbucketRule, "bot_name: example", "bot_name: example, max_token_age: 1d"},
		{"an empty deny rule", bitbucketRule, "allow:", "deny: [{}], allow:"},
		{"a flag in quotes", bitbucketRule, "allow:", `enable_glob_matching: "true", allow:`},
		{"a number for a project", circleciRule, "project_id: 00000000-0000-0000-0000-000000000003", "project_id: 1234"},
		{"a name for an organization", circleciRule, "organization_id: 00000000-0000-0000-0000-000000000001", "organization_id: acme"},
		{"a rule of any project", circleciRule, "project_id: 00000000-0000-0000-0000-000000000003", "vcs_ref: refs/heads/main"},
		{"a pattern of logins", role, "[deploy]", "['*']"},
		{"a login with a space", role, "[deploy]", "['de ploy']"},
		{"a login twice", role, "[deploy]", "[deploy, deploy]"},
		{"a template of a function", role, "[deploy]", "['{{email.local(external.mail)}}']"},
		{"labels of databases", role, "allow: {", "allow: {db_labels: {env: prod}, "},
		{"labels under deny", role, "options:", "deny: {node_labels: {env: prod}}, options:"},
		{"an option that limits", role, "options: {", "options: {unknown_limit: 1, "},
		{"an extension of OpenSSH's", role, "options: {", "options: {cert_extensions: [{type: ssh, mode: extension, name: permit-pty}], "},
		{"a version of no role", role, "version: v7", "version: v9"},
		{"a lock of nothing", lock, "{bot: example}", "{}"},
		{"a lock of a user", lock, "{bot: example}", "{user: example}"},
	}
	for _, d := range []string{bot, bitbucketRule, circleciRule, role, lock} {
		if err := s.Validate(values(t, []byte(d))[0]); err != nil {
			t.Fatalf("not changed: %v\n%s", err, d)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(tt.document, tt.old) != 1 {
				t.Fatalf("%q is in the document %d times", tt.old, strings.Count(tt.document, tt.old))
			}
			text := strings.Replace(tt.document, tt.old, tt.new, 1)
			if err := s.Validate(values(t, []byte(text))[0]); err == nil {
				t.Errorf("the schema accepts it:\n%s", text)
			}
			if _, _, err := rules.Parse("wrong.yaml", []byte(text)); err == nil {
				t.Errorf("apply takes it:\n%s", text)
			}
		})
	}
}

// An editor must not offer what apply does not know.
func TestWhatIsOfferedIsKnown(t *testing.T) {
	text, err := resourcesSchema()
	if err != nil {
		t.Fatal(err)
	}
	var root struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	offered := 0
	for kind, definition := range root.Definitions {
		offer(definition, func(path string, wrap func(string) string) {
			offered++
			document := wrap("{}")
			_, _, err := rules.Parse("offered.yaml", []byte(document))
			if err != nil && strings.Contains(err.Error(), "is not a field here") {
				t.Errorf("%s.%s: %v\n%s", kind, path, err, document)
			}
		}, "kind: "+kind+", version: v1, metadata: {name: a}")
	}
	if offered < 100 {
		t.Errorf("only %d fields are offered", offered)
	}
}

// offer calls try for every field of a schema, with what makes a document of its value.
// beside is what else the document has.
func offer(definition map[string]any, try func(path string, wrap func(string) string), beside string) {
	var walk func(schema map[string]any, path string, wrap func(string) string)
	walk = func(schema map[string]any, path string, wrap func(string) string) {
		if items, ok := schema["items"].(map[string]any); ok {
			walk(items, path+"[]", func(value string) string { return wrap("[" + value + "]") })
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, child := range properties {
			inner := func(value string) string { return wrap("{" + name + ": " + value + "}") }
			try(path+"."+name, inner)
			if child, ok := child.(map[string]any); ok {
				walk(child, path+"."+name, inner)
			}
		}
	}
	properties := definition["properties"].(map[string]any)
	for name, child := range properties {
		if name == "kind" || name == "version" {
			continue
		}
		wrap := func(value string) string { return "{" + beside + ", " + name + ": " + value + "}" }
		if name == "metadata" {
			wrap = func(value string) string {
				return "{" + strings.Replace(beside, "metadata: {name: a}", "metadata: "+value, 1) + "}"
			}
		}
		try(name, wrap)
		walk(child.(map[string]any), name, wrap)
	}
}

func TestEveryFieldSaysWhatItIs(t *testing.T) {
	for name, make := range map[string]func() ([]byte, error){"resources": resourcesSchema, "cases": casesSchema} {
		text, err := make()
		if err != nil {
			t.Fatal(err)
		}
		var root map[string]any
		if err := json.Unmarshal(text, &root); err != nil {
			t.Fatal(err)
		}
		checked := 0
		describe(t, name, root, &checked)
		if checked < 15 {
			t.Errorf("%s: only %d fields", name, checked)
		}
	}
}

func describe(t *testing.T, at string, v any, checked *int) {
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			describe(t, at, child, checked)
		}
	case map[string]any:
		properties, _ := v["properties"].(map[string]any)
		for name, child := range properties {
			field, ok := child.(map[string]any)
			if !ok || field["const"] != nil || name == "*" || name == "enabled" || name == "local" || name == "remote" || strings.HasSuffix(at, ".if") {
				continue
			}
			*checked++
			if text, _ := field["description"].(string); text == "" && at != "" {
				t.Errorf("%s.%s has no description", at, name)
			}
		}
		for name, child := range v {
			describe(t, at+"."+name, child, checked)
		}
	}
}

func TestCases(t *testing.T) {
	text, err := casesSchema()
	s := compile(t, text, err)
	for _, text := range blocks(t, "../../../docs/explain.md", "yaml") {
		if !strings.Contains(text, "cases:") {
			continue
		}
		if _, err := admin.ParseCases("explain.md", []byte(text)); err != nil {
			t.Error(err)
		}
		if err := s.Validate(values(t, []byte(text))[0]); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	for name, text := range map[string]string{
		"no cases":         "{defaults: {token: t}}",
		"an empty list":    "{cases: []}",
		"an unknown field": "{cases: [{name: a, want: join, wnat: x}]}",
		"nothing wanted":   "{cases: [{name: a}]}",
		"something else":   "{cases: [{name: a, want: refused}]}",
		"an unknown usage": "{cases: [{name: a, want: join, credentials: [{type: x509, usage: mail}]}]}",
	} {
		if err := s.Validate(values(t, []byte(text))[0]); err == nil {
			t.Errorf("%s is accepted: %s", name, text)
		}
		if _, err := admin.ParseCases("x.yaml", []byte(text)); err == nil && name != "an unknown usage" {
			t.Errorf("%s is taken by gatepassctl test: %s", name, text)
		}
	}
}

// The committed files are what make generate writes.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	for name, make := range map[string]func() ([]byte, error){
		"gatepass.schema.json": resourcesSchema, "gatepass-cases.schema.json": casesSchema,
	} {
		want, err := make()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("../../../docs/schema", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/schema/%s is not up to date: run make generate (%v)", name, err)
		}
	}
}
