package rules_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// example is one fenced block of docs/rules.md.
type example struct {
	info string // what stands behind the fence
	text string
}

func examples(t *testing.T) []example {
	t.Helper()
	data, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []example
	parts := strings.Split("\n"+string(data), "\n```")
	for i := 1; i+1 < len(parts); i += 2 {
		info, text, _ := strings.Cut(parts[i], "\n")
		list = append(list, example{info, text})
	}
	return list
}

func TestExamplesOfTheDocs(t *testing.T) {
	valid, invalid := 0, 0
	for _, e := range examples(t) {
		docs, _, err := rules.Parse("rules.md", []byte(e.text))
		switch e.info {
		case "yaml":
			valid++
			if err != nil || len(docs) == 0 {
				t.Errorf("an example is not valid: %v\n%s", err, e.text)
			}
			for _, d := range docs {
				sameAfterAll(t, d.Resource)
			}
		case "yaml invalid":
			// The comment in the example is the error that it gets.
			invalid++
			_, comment, found := strings.Cut(e.text, "# line ")
			want, _, _ := strings.Cut(comment, "\n")
			want = strings.TrimSuffix("rules.md:"+want, "…")
			if !found || err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got  %v\nwant %s\n%s", err, want, e.text)
			}
		default:
			t.Errorf("a block of %q: write yaml or yaml invalid behind the fence\n%s", e.info, e.text)
		}
	}
	if valid < 6 || invalid < 2 {
		t.Errorf("%d valid and %d invalid examples: some are not found", valid, invalid)
	}
}

// The reference is only one if it names everything.
func TestDocsNameEveryField(t *testing.T) {
	data, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/encoded.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	fields := []string{"enable_glob_matching", "allow_ssh_rerun", "allow_forks", "port_forwarding", "agent_forwarding",
		"x11_forwarding", "pin_source_ip", "force_command", "all", "deployment_environment_uuid"}
	for part := range strings.SplitSeq(string(golden), `":`) {
		fields = append(fields, part[strings.LastIndexByte(part, '"')+1:])
	}
	for _, field := range fields {
		if field = strings.TrimSpace(field); field != "" && !strings.HasPrefix(field, "}") && !strings.Contains(string(data), field) {
			t.Errorf("docs/rules.md does not name %s", field)
		}
	}
}
