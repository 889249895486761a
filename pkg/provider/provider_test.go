package provider_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// TestTableIsWhole checks what every entry must have: a slip in one would let in more
// than is meant, or leave a person without a word of help.
func TestTableIsWhole(t *testing.T) {
	if len(provider.All()) < 3 {
		t.Fatalf("only %d CIs", len(provider.All()))
	}
	for _, p := range provider.All() {
		t.Run(p.Method, func(t *testing.T) {
			if p.Name == "" || p.NeedsWhy == "" || p.Doctor.Renew == "" {
				t.Error("a word for people is missing")
			}
			if p.Issuer == nil || p.Audience == nil || p.Usual == nil {
				t.Fatal("a function is missing")
			}
			if len(p.NeedsOneOf) == 0 {
				t.Error("an allow rule may be about every job of the CI: NeedsOneOf is empty")
			}
			if len(p.Required) == 0 {
				t.Error("no claim shows that an ID token is a job's: Required is empty")
			}
			for _, name := range p.NeedsOneOf {
				if p.Field(name) == nil {
					t.Errorf("NeedsOneOf names %q, which is not a field", name)
				}
			}
			checkSettings(t, p)
			checkFields(t, p)
			checkGuard(t, p)
			for _, q := range p.New.Questions {
				if p.Field(q.For) == nil && p.Setting(q.For) == nil {
					t.Errorf("the question %q is for %q, which is neither a field nor a setting", q.Name, q.For)
				}
			}
		})
	}
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func checkSettings(t *testing.T, p *provider.Provider) {
	t.Helper()
	var names []string
	flags := false
	for _, s := range p.Settings {
		if !snakeCase.MatchString(s.Name) || s.Meaning == "" || slices.Contains(names, s.Name) {
			t.Errorf("the setting %q has no meaning, is there twice, or is not in snake_case", s.Name)
		}
		names = append(names, s.Name)
		if flags && s.Form != provider.Flag {
			t.Errorf("the setting %q is a text after a flag", s.Name)
		}
		flags = s.Form == provider.Flag
	}
	if p.Setting("audience") == nil {
		t.Error("there is no setting audience")
	}
}

func checkFields(t *testing.T, p *provider.Provider) {
	t.Helper()
	var names, claims []string
	for _, f := range p.Fields {
		if !snakeCase.MatchString(f.Name) || f.Meaning == "" || f.Claim == "" || slices.Contains(names, f.Name) || slices.Contains(claims, f.Claim) {
			t.Errorf("the field %q has no meaning or claim, is there twice, or is not in snake_case", f.Name)
		}
		names, claims = append(names, f.Name), append(claims, f.Claim)
		if f.Form == provider.UUID && (f.Of == "" || f.Where == "") {
			t.Errorf("nothing says where a person finds the id %q", f.Name)
		}
		if f.Glob && (f.Form != provider.Text || p.Setting(provider.GlobSetting) == nil) {
			t.Errorf("the field %q may be a pattern, and is not a text or there is no %s", f.Name, provider.GlobSetting)
		}
		if (f.Pattern == "") != (f.Mistake == "") {
			t.Errorf("the field %q has a pattern without the common mistake, or the reverse", f.Name)
		}
	}
}

func checkGuard(t *testing.T, p *provider.Provider) {
	t.Helper()
	g := p.Guard
	if g == nil {
		return
	}
	if p.Field(g.Field) == nil || g.Why == "" || g.Suspects == nil {
		t.Errorf("the guard names %q, which is not a field, or it says or asks nothing", g.Field)
	}
	if g.Unless != "" && (p.Setting(g.Unless) == nil || p.Setting(g.Unless).Form != provider.Flag) {
		t.Errorf("the guard is turned off by %q, which is not a flag", g.Unless)
	}
}

// TestReadLeavesOutWhatCannotMatch: a claim that is absent, empty or of another type is
// not there for a rule to match.
func TestReadLeavesOutWhatCannotMatch(t *testing.T) {
	for _, p := range provider.All() {
		for _, f := range p.Fields {
			wrong := []any{nil, "", true, int64(7), map[string]any{"a": "b"}, []any{}, []any{""}, []any{"a", int64(1)}}
			right, want := any("value"), "value"
			if f.Many {
				wrong, right = append(wrong, "value"), []any{"", "value"}
			} else {
				wrong = append(wrong, []any{"value"})
			}
			for _, claim := range wrong {
				if got := p.Read(provider.Claims{f.Claim: claim}); len(got) != 0 {
					t.Errorf("%s: %s of %#v is read as %q", p.Method, f.Claim, claim, got)
				}
			}
			if got := strings.Join(p.Read(provider.Claims{f.Claim: right})[f.Name], " "); got != want {
				t.Errorf("%s: %s of %#v is read as %q", p.Method, f.Claim, right, got)
			}
		}
	}
}

// TestCheckJobRequiresWhatEveryJobHas takes each required claim away, empties it, and
// makes it another type.
func TestCheckJobRequiresWhatEveryJobHas(t *testing.T) {
	for _, p := range provider.All() {
		section := &provider.Section{}
		whole := func() provider.Claims {
			c := p.Usual(section)
			for _, name := range p.Required {
				c[name] = "x"
			}
			return c
		}
		for _, name := range p.Required {
			for _, tt := range []struct {
				change func(provider.Claims)
				code   string
			}{
				{func(c provider.Claims) { delete(c, name) }, "id_token_missing_claim"},
				{func(c provider.Claims) { c[name] = "" }, "id_token_missing_claim"},
				{func(c provider.Claims) { c[name] = nil }, "id_token_malformed"},
				{func(c provider.Claims) { c[name] = []any{"x"} }, "id_token_malformed"},
			} {
				c := whole()
				tt.change(c)
				if refusal := p.CheckJob(c, section); refusal == nil || refusal.Code != tt.code {
					t.Errorf("%s: %s: got %v, want %s", p.Method, name, refusal, tt.code)
				}
			}
		}
	}
}
