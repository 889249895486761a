package credentials

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestKindsAreWhole: an option is declared once, by names that mean nothing else, and
// docs/outputs.md or docs/client.md tells of it.
func TestKindsAreWhole(t *testing.T) {
	var page []byte
	for _, name := range []string{"outputs.md", "client.md"} {
		text, err := os.ReadFile("../../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		page = append(page, text...)
	}
	told := func(what string) {
		t.Helper()
		if !strings.Contains(string(page), "`"+what) && !strings.Contains(string(page), what+"`") {
			t.Errorf("neither docs/outputs.md nor docs/client.md tells of %s", what)
		}
	}
	var names []string
	for _, kind := range Kinds() {
		for _, name := range append(kind.Aliases, kind.Name) {
			if slices.Contains(names, name) {
				t.Errorf("two kinds are called %s", name)
			}
			names = append(names, name)
		}
		if !strings.Contains(string(page), "\n## "+kind.Name) {
			t.Errorf("docs/outputs.md has no section about %s", kind.Name)
		}
		var options, fields []string
		for _, option := range slices.Concat(placeOptions(), kind.Options) {
			for _, name := range []string{option.Name, option.Other} {
				if name != "" && slices.Contains(options, name) {
					t.Errorf("%s has two options %s", kind.Name, name)
				}
				options = append(options, name)
			}
			if slices.Contains(fields, option.FieldName()) {
				t.Errorf("%s has two fields %s", kind.Name, option.FieldName())
			}
			fields = append(fields, option.FieldName())
			if option.Help == "" || len(option.Values) > 0 && !slices.Contains(option.Values, option.Default) {
				t.Errorf("%s of %s has no help, or its default is none of its values", option.Name, kind.Name)
			}
			told("--" + option.Name)
			for _, value := range option.Values {
				told(value)
			}
		}
		for _, ignored := range kind.Ignored {
			if slices.Contains(fields, ignored.Field) || ignored.Why == "" {
				t.Errorf("%s of %s is ignored and obeyed, or for no reason", ignored.Field, kind.Name)
			}
		}
	}
}

// TestWishesKnowWhatWasGiven: by either name of an option, and not by its default.
func TestWishesKnowWhatWasGiven(t *testing.T) {
	w, err := ParseWish(`database,db-user=app,"roles=a,b",destination=d`, "here", "example")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"username", "db-user", "roles", "destination"} {
		if !w.Given(name) {
			t.Errorf("%s was given", name)
		}
	}
	for _, name := range []string{"format", "acls", "database", "exec-plugin"} {
		if w.Given(name) {
			t.Errorf("%s was not given", name)
		}
	}
	if w.Text("username") != "app" || w.Text("format") != "default" || !slices.Equal(w.List("roles"), []string{"a", "b"}) {
		t.Errorf("username %q, format %q, roles %q", w.Text("username"), w.Text("format"), w.List("roles"))
	}
	for text, want := range map[string]string{
		"databse":                      `unknown output type "databse"`,
		"database,usrname=app":         "an output of type database has no usrname",
		"database,username":            `here: "username" is not FLAG=VALUE`,
		"kubernetes,exec-plugin=maybe": "exec-plugin of an output of type kubernetes",
		"a\nb":                         `cannot be read`,
		`"`:                            `cannot be read`,
	} {
		if _, err := ParseWish(text, "here", "example"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
