package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// document reads one resource as its file has it.
func document(t testing.TB, text string) rules.Resource {
	t.Helper()
	if text == "" {
		return nil
	}
	documents, _, err := rules.Parse("file", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return documents[0].Resource
}

func role(spec string) string {
	return "kind: role\nversion: v7\nmetadata: {name: r}\nspec: " + spec + "\n"
}

func bot(metadata, spec string) string {
	return "kind: bot\nversion: v1\nmetadata: {name: b" + metadata + "}\nspec: " + spec + "\n"
}

func circle(allow string) string {
	return "kind: token\nversion: v2\nmetadata: {name: t}\nspec: {roles: [Bot], join_method: circleci, bot_name: b, circleci: {" +
		"organization_id: 00000000-0000-0000-0000-000000000001, allow: [" + allow + "]}}\n"
}

func project(n int, more string) string {
	return fmt.Sprintf("{project_id: 00000000-0000-0000-0000-%012d%s}", n, more)
}

func TestFields(t *testing.T) {
	const p = "00000000-0000-0000-0000-00000000000"
	for name, c := range map[string]struct {
		before, after string
		want          []string
	}{
		"a value":                       {bot("", "{max_session_ttl: 30m}"), bot("", "{max_session_ttl: 1h}"), []string{"~ spec.max_session_ttl: 30m → 1h"}},
		"a default, written out or not": {circle(project(1, "")), circle(project(1, "")), nil},
		"what comes and goes": {bot(", description: old", "{max_session_ttl: 30m}"), bot(", labels: {team: shop}", "{roles: [a]}"), []string{
			"- metadata.description: old", "+ metadata.labels.team: shop", "- spec.max_session_ttl: 30m", "+ spec.roles: [a]"}},
		"a label with a dot": {bot(", labels: {team: shop, a.b/c: x}", "{roles: []}"), bot(", labels: {team: shop, a.b/c: y}", "{roles: []}"),
			[]string{`~ metadata.labels["a.b/c"]: x → y`}},
		"true and false": {role("{options: {permit_pty: true}}"), role("{options: {port_forwarding: true}}"), []string{
			"- spec.options.permit_pty: true", "+ spec.options.port_forwarding: true"}},
		"at the end of a list":      {bot("", "{roles: [a, b]}"), bot("", "{roles: [a, b, c]}"), []string{"+ spec.roles[2]: c"}},
		"at the beginning of one":   {bot("", "{roles: [a, b]}"), bot("", "{roles: [c, a, b]}"), []string{"+ spec.roles[0]: c"}},
		"out of the middle":         {bot("", "{roles: [a, b, c]}"), bot("", "{roles: [a, c]}"), []string{"- spec.roles[1]: b"}},
		"another in its place":      {bot("", "{roles: [a, b, c]}"), bot("", "{roles: [a, x, c]}"), []string{"- spec.roles[1]: b", "+ spec.roles[1]: x"}},
		"the order":                 {bot("", "{roles: [a, b]}"), bot("", "{roles: [b, a]}"), []string{"- spec.roles[0]: a", "+ spec.roles[1]: a"}},
		"a trait by its name":       {bot("", "{traits: [{name: a, values: [x]}, {name: b, values: [y]}]}"), bot("", "{traits: [{name: b, values: [y, z]}]}"), []string{"- spec.traits[0].name: a", "- spec.traits[0].values: [x]", "+ spec.traits[0].values[1]: z"}},
		"a field of a rule":         {circle(project(1, ", vcs_ref: refs/heads/main")), circle(project(1, ", vcs_ref: refs/heads/x")), []string{"~ spec.circleci.allow[0].vcs_ref: refs/heads/main → refs/heads/x"}},
		"a rule before others":      {circle(project(1, "") + "," + project(2, "")), circle(project(3, "") + "," + project(1, "") + "," + project(2, "")), []string{"+ spec.circleci.allow[0].project_id: " + p + "3"}},
		"a rule that goes":          {circle(project(1, "") + "," + project(2, "")), circle(project(2, "")), []string{"- spec.circleci.allow[0].project_id: " + p + "1"}},
		"a rule for another":        {circle(project(1, "")), circle(project(2, "")), []string{"- spec.circleci.allow[0].project_id: " + p + "1", "+ spec.circleci.allow[0].project_id: " + p + "2"}},
		"a rule narrowed and moved": {circle(project(1, "") + "," + project(2, "")), circle(project(2, "") + "," + project(1, ", vcs_ref: r")), []string{"- spec.circleci.allow[0].project_id: " + p + "1", "+ spec.circleci.allow[1].project_id: " + p + "1", "+ spec.circleci.allow[1].vcs_ref: r"}},
		"all of what is new": {"", role("{allow: {logins: [a, b]}, options: {cert_extensions: [{type: ssh, mode: extension, name: login@x, value: y}]}}"), []string{
			"+ version: v7", "+ spec.allow.logins: [a b]", "+ spec.options.cert_extensions[0].type: ssh", "+ spec.options.cert_extensions[0].mode: extension",
			"+ spec.options.cert_extensions[0].name: login@x", "+ spec.options.cert_extensions[0].value: y"}},
		"all of what goes": {bot("", "{roles: [a]}"), "", []string{"- version: v1", "- spec.roles: [a]"}},
		"a version":        {role("{}"), strings.Replace(role("{}"), "v7", "v8", 1), []string{"~ version: v7 → v8"}},
	} {
		t.Run(name, func(t *testing.T) {
			step := admin.Step{Action: admin.Update, Before: document(t, c.before), After: document(t, c.after)}
			fields, err := step.Fields()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range fields {
				got = append(got, line(f))
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func line(f admin.Field) string {
	switch f.Op {
	case admin.Added:
		return fmt.Sprintf("+ %s: %v", f.Path, f.After)
	case admin.Removed:
		return fmt.Sprintf("- %s: %v", f.Path, f.Before)
	}
	return fmt.Sprintf("~ %s: %v → %v", f.Path, f.Before, f.After)
}

// TestFieldsForMachines has values in JSON as the resource has them.
func TestFieldsForMachines(t *testing.T) {
	step := admin.Step{Action: admin.Update,
		Before: document(t, circle(project(1, ""))),
		After:  document(t, strings.Replace(circle(project(1, "")), "bot_name: b", "bot_name: b, max_joins: 2", 1))}
	fields, err := step.Fields()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(fields)
	if want := `[{"op":"change","path":"spec.max_joins","before":1,"after":2}]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

// TestFieldsOfMany has as many rules as a token may have, all of them other ones.
func TestFieldsOfMany(t *testing.T) {
	var before, after []string
	for i := range 1000 {
		before, after = append(before, project(i, ", vcs_ref: a")), append(after, project(i+1000, ", vcs_ref: b"))
	}
	step := admin.Step{Action: admin.Update, Before: document(t, circle(strings.Join(before, ","))), After: document(t, circle(strings.Join(after, ",")))}
	began := time.Now()
	fields, err := step.Fields()
	if err != nil || len(fields) != 4000 {
		t.Errorf("%d fields, %v", len(fields), err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// FuzzFields has two resources differ exactly if a field does.
func FuzzFields(f *testing.F) {
	seeds, err := os.ReadDir("testdata/fuzz/FuzzFields")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("there are no seeds: %v", err)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		x, _, err := rules.Parse("before", []byte(before))
		if err != nil || len(x) == 0 {
			return
		}
		y, _, err := rules.Parse("after", []byte(after))
		if err != nil || len(y) == 0 {
			return
		}
		b, a := x[0].Resource, y[0].Resource
		if b.Kind() != a.Kind() || b.Name() != a.Name() {
			return
		}
		fields, err := admin.Step{Action: admin.Update, Before: b, After: a}.Fields()
		if err != nil {
			t.Fatal(err)
		}
		if same := bytes.Equal(encode(t, b), encode(t, a)); same != (len(fields) == 0) {
			t.Fatalf("the same: %t, and yet %v", same, fields)
		}
		seen := map[string]bool{}
		for _, field := range fields {
			key := string(field.Op) + field.Path
			if seen[key] || field.Path == "" || field.Op == admin.Changed && fmt.Sprint(field.Before) == fmt.Sprint(field.After) {
				t.Fatalf("%v", fields)
			}
			seen[key] = true
		}
	})
}

func encode(t *testing.T, r rules.Resource) []byte {
	t.Helper()
	encoded, err := rules.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
