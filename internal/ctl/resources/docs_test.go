package resources

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

var update = flag.Bool("update", false, "write the tables of docs/rules.md instead of comparing with them")

// TestFieldTables holds the tables of docs/rules.md between the markers of a CI to the
// CI's table. make generate writes them.
func TestFieldTables(t *testing.T) {
	const page = "../../../docs/rules.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := text
	for _, p := range provider.All() {
		begin, end := "<!-- fields of "+p.Method+" -->\n", "<!-- end of fields -->\n"
		before, rest, found := bytes.Cut(want, []byte(begin))
		_, after, ended := bytes.Cut(rest, []byte(end))
		if !found || !ended {
			t.Fatalf("docs/rules.md has no %q with its end", begin)
		}
		want = []byte(string(before) + begin + fieldTables(p) + end + string(after))
	}
	if bytes.Equal(text, want) {
		return
	}
	if !*update {
		t.Fatal("docs/rules.md does not say what the tables of the CIs do: run make generate")
	}
	if err := os.WriteFile(page, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

func fieldTables(p *provider.Provider) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| field of `spec.%s` | meaning | default |\n|---|---|---|\n", p.Method)
	for _, s := range p.Settings {
		standard := s.Default
		switch {
		case s.Missing != "":
			standard = "required"
		case s.Form == provider.Flag:
			standard = "`false`"
		}
		fmt.Fprintf(&b, "| `%s` | %s%s | %s |\n", s.Name, s.Meaning, looks(s.Form), standard)
	}
	b.WriteString("| `allow` | rules, at least one: a job joins that matches one of them | required |\n")
	b.WriteString("| `deny` | rules: a job that matches one of them is refused, whatever `allow` says | none |\n\n")
	b.WriteString("| field of a rule | claim | meaning | compared |\n|---|---|---|---|\n")
	for _, f := range p.Fields {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", f.Name, f.Claim, f.Meaning, compared(&f))
	}
	fmt.Fprintf(&b, "\nAn allow rule names one of `%s`; a deny rule names any field.\n", strings.Join(p.NeedsOneOf, "`, `"))
	if g := p.Guard; g != nil {
		unless := ""
		if g.Unless != "" {
			unless = fmt.Sprintf(", unless `%s` is true", g.Unless)
		}
		fmt.Fprintf(&b, "An allow rule that does not name `%s` never matches %s%s.\n", g.Field, g.Jobs, unless)
	}
	fmt.Fprintf(&b, "The ID token of every job has these claims, each a text that is not empty: `%s`.\n", strings.Join(p.Required, "`, `"))
	if p.Mints {
		fmt.Fprintf(&b, "\n%s mints ID tokens on demand, for any audience, so `bind: required` is advised.\n", p.Name)
	} else {
		fmt.Fprintf(&b, "\n%s mints an ID token before a job can ask for one, so `bind: required` is refused.\n", p.Name)
	}
	return b.String()
}

// looks says how a value looks, where a person has to be told.
func looks(form provider.Form) string {
	switch form {
	case provider.Issuer:
		return "; https, without user, query, fragment and trailing slash"
	case provider.Audience:
		return "; printable, at most 256, no `*`, no `" + provider.BindingMark + "`"
	}
	return ""
}

func compared(f *provider.Field) string {
	switch {
	case f.Many:
		return "as an id; any of the job's"
	case f.Form == provider.UUID:
		return "as an id"
	case f.Glob:
		return "exactly, or as a glob"
	}
	return "exactly"
}
