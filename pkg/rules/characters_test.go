package rules_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// accepts returns whether a document is accepted that has the value in one place.
func accepts(t *testing.T, document func(value string) any) func(string) bool {
	return func(value string) bool {
		data, err := json.Marshal(document(value))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = rules.Parse("test.json", data)
		return err == nil
	}
}

type object map[string]any

func bot(spec object) object {
	return object{"kind": "bot", "version": "v1", "metadata": object{"name": "example"}, "spec": spec}
}

func isField(field string) func(string) bool {
	return func(value string) bool {
		_, err := rules.CheckField(field, value)
		return err == nil
	}
}

// TestEveryCharacterInEveryPlace tries each byte alone, first and later in what names
// something. The patterns are those of docs/rules.md.
func TestEveryCharacterInEveryPlace(t *testing.T) {
	traits := accepts(t, func(v string) any {
		return bot(object{"traits": []object{{"name": v, "values": []string{"x"}}}})
	})
	label := func(s string) bool {
		_, err := rules.ParseLabels("a=" + s)
		return err == nil
	}
	for name, tc := range map[string]struct {
		accepts func(string) bool
		pattern string
	}{
		"name":     {isField("name"), `[a-z0-9][a-z0-9._-]*`},
		"bot_name": {isField("bot_name"), `[a-z0-9][a-z0-9._-]*`},
		"login":    {isField("logins"), `[A-Za-z_][A-Za-z0-9_.@-]*`},
		"trait":    {traits, `[A-Za-z0-9_][A-Za-z0-9_.-]*`},
		"label":    {label, `[A-Za-z0-9][A-Za-z0-9_./:+-]*`},
		"a number": {isField("repository_id"), `[1-9][0-9]*`},
		"issuer":   {func(s string) bool { return isField("issuer")("https://" + s + ".example") }, `[A-Za-z0-9._-]+`},
	} {
		t.Run(name, func(t *testing.T) {
			want := regexp.MustCompile(`\A(?:` + tc.pattern + `)\z`)
			for b := range 256 {
				c := string([]byte{byte(b)})
				if name == "issuer" && strings.Contains(":/?#@[]", c) {
					continue // what stands behind is not the host
				}
				if name == "label" && strings.Contains("*^$,={}", c) {
					continue // refused with other words, and a comma begins another label
				}
				for _, s := range []string{c, c + "1", "a" + c + "1", "1" + c + "1", "1" + c} {
					if got := tc.accepts(s); got != want.MatchString(s) {
						t.Errorf("%q: accepted %t, want %t", s, got, !got)
					}
				}
			}
		})
	}
}

// TestEveryCharacterOfAUUID puts each byte into each place of one.
func TestEveryCharacterOfAUUID(t *testing.T) {
	want := regexp.MustCompile(`\A\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?\z`)
	for i := range project {
		for b := range 256 {
			s := project[:i] + string([]byte{byte(b)}) + project[i+1:]
			if got := isField("project_id")(s); got != want.MatchString(s) {
				t.Errorf("%q: accepted %t, want %t", s, got, !got)
			}
		}
	}
}

// TestEveryLimitOfAText holds the longest that is accepted, and one more.
func TestEveryLimitOfAText(t *testing.T) {
	description := accepts(t, func(v string) any {
		b := bot(object{})
		b["metadata"].(object)["description"] = v
		return b
	})
	label := accepts(t, func(v string) any {
		b := bot(object{})
		b["metadata"].(object)["labels"] = object{"team": v}
		return b
	})
	trait := accepts(t, func(v string) any {
		return bot(object{"traits": []object{{"name": v, "values": []string{"x"}}}})
	})
	value := accepts(t, func(v string) any {
		return bot(object{"traits": []object{{"name": "x", "values": []string{v}}}})
	})
	for name, tc := range map[string]struct {
		accepts func(string) bool
		unit    string
		most    int
	}{
		"name":           {isField("name"), "a", 253},
		"bot_name":       {isField("bot_name"), "a", 64},
		"login":          {isField("logins"), "a", 256},
		"branch_name":    {isField("branch_name"), "é", 512},
		"audience":       {isField("audience"), "é", 256},
		"repository_id":  {isField("repository_id"), "1", 20},
		"issuer":         {func(s string) bool { return isField("issuer")("https://a.example/" + s) }, "a", 512 - len("https://a.example/")},
		"trait":          {trait, "a", 64},
		"trait's value":  {value, "é", 256},
		"description":    {description, "a", 16 << 10},
		"label's value":  {label, "a", 253},
		"two-byte label": {label, "é", 253 / 2},
	} {
		t.Run(name, func(t *testing.T) {
			for n, want := range map[int]bool{0: false, 1: true, tc.most: true, tc.most + 1: false, 3 * tc.most: false} {
				if n == 0 && (tc.unit == "a" && strings.HasPrefix(name, "label") || name == "description" || name == "two-byte label" || name == "issuer") {
					continue // may be empty; an issuer would end in a slash
				}
				if got := tc.accepts(strings.Repeat(tc.unit, n)); got != want {
					t.Errorf("%d: accepted %t, want %t", n, got, want)
				}
			}
		})
	}
}

// TestProse: what people write may have lines, and nothing that a terminal or YAML takes for more.
func TestProse(t *testing.T) {
	prose := accepts(t, func(v string) any {
		b := bot(object{})
		b["metadata"].(object)["description"] = v
		return b
	})
	for s, want := range map[string]bool{
		"two\nlines\tand a tab": true, "é \u20ac \U0001f680": true, "\ufefe": true, "\uff00": true, "\ufffd": true, "\U00010000": true,
		"\x00": false, "\x1b[31m": false, "\r": false, "\x7f": false, "\u0080": false, "\u009f": false,
		"a\ufeff": false, "a\ufffe": false, "a\uffff": false,
	} {
		if got := prose(s); got != want {
			t.Errorf("%q: accepted %t, want %t", s, got, want)
		}
	}
}

// TestTheFirstAndTheLastYear are those of docs/rules.md, in UTC.
func TestTheFirstAndTheLastYear(t *testing.T) {
	for s, want := range map[string]bool{
		"1969-12-31T23:59:59Z": false, "1970-01-01T00:00:00Z": true, "1970-01-01T00:00:00+00:01": false,
		"9999-12-31T23:59:59Z": true, "9999-12-31T23:59:59-00:01": false, "0000-01-01T00:00:00Z": false,
	} {
		if got := isField("expires")(s); got != want {
			t.Errorf("%s: accepted %t, want %t", s, got, want)
		}
	}
}

// TestADurationIsWrittenAsItWasRead, in its shortest form.
func TestADurationIsWrittenAsItWasRead(t *testing.T) {
	for _, s := range []string{"1s", "10s", "59s", "1m", "1m1s", "10m", "20m10s", "1h", "1h0m1s", "1h0m10s", "1h1m", "10h", "10h10m", "10h10m10s", "24h"} {
		data, err := json.Marshal(bot(object{"max_session_ttl": s}))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := rules.Encode(parseOne[*rules.Bot](t, string(data)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(stored), `"max_session_ttl":"`+s+`"`) {
			t.Errorf("%s is stored in %s", s, stored)
		}
	}
}

// TestEveryLimitOfAList holds the most of each that docs/rules.md names, and one more.
func TestEveryLimitOfAList(t *testing.T) {
	names := func(n int) []string { return strings.Split(strings.TrimSuffix(numbered("n", n), ","), ",") }
	role := func(spec object) object {
		return object{"kind": "role", "version": "v7", "metadata": object{"name": "example"}, "spec": spec}
	}
	extensions := func(n int, change func(object)) object {
		all := make([]object, n)
		for i, name := range names(n) {
			all[i] = object{"type": "ssh", "mode": "extension", "name": name + "@x", "value": "x"}
			change(all[i])
		}
		return role(object{"allow": object{"logins": []string{"x"}}, "options": object{"cert_extensions": all}})
	}
	extension := func(field, value string) object {
		return extensions(1, func(e object) { e[field] = value })
	}
	token := func(change func(spec, section object)) object {
		section := object{"audience": "x", "allow": []object{{"repository": "acme/shop"}}}
		spec := object{"roles": []string{"Bot"}, "join_method": "github", "bot_name": "example", "github": section}
		change(spec, section)
		return object{"kind": "token", "version": "v2", "metadata": object{"name": "example"}, "spec": spec}
	}
	rulesOf := func(n int) (all []object) {
		for range n {
			all = append(all, object{"repository": "acme/shop"})
		}
		return all
	}
	lock := func(target string, n int) object {
		return object{"kind": "lock", "version": "v2", "metadata": object{"name": "example"}, "spec": object{"target": object{target: strings.Repeat("a", n)}}}
	}
	for name, tc := range map[string]struct {
		most     int
		document func(n int) object
	}{
		"roles of a bot":    {100, func(n int) object { return bot(object{"roles": names(n)}) }},
		"a role of a bot":   {253, func(n int) object { return bot(object{"roles": []string{strings.Repeat("a", n)}}) }},
		"values of a trait": {1000, func(n int) object { return bot(object{"traits": []object{{"name": "x", "values": names(n)}}}) }},
		"traits of a bot": {100, func(n int) object {
			all := make([]object, n)
			for i, name := range names(n) {
				all[i] = object{"name": name, "values": []string{"x"}}
			}
			return bot(object{"traits": all})
		}},
		"labels": {256, func(n int) object {
			labels := object{}
			for _, name := range names(n) {
				labels[name] = "x"
			}
			b := bot(object{})
			b["metadata"].(object)["labels"] = labels
			return b
		}},
		"the name of a label": {253, func(n int) object {
			b := bot(object{})
			b["metadata"].(object)["labels"] = object{strings.Repeat("a", n): "x"}
			return b
		}},
		"max_joins":             {100, func(n int) object { return token(func(spec, _ object) { spec["max_joins"] = n }) }},
		"the bot of a token":    {64, func(n int) object { return token(func(spec, _ object) { spec["bot_name"] = strings.Repeat("a", n) }) }},
		"allow rules":           {1000, func(n int) object { return token(func(_, section object) { section["allow"] = rulesOf(n) }) }},
		"deny rules":            {1000, func(n int) object { return token(func(_, section object) { section["deny"] = rulesOf(n) }) }},
		"logins":                {1000, func(n int) object { return role(object{"allow": object{"logins": names(n)}}) }},
		"denied users":          {1000, func(n int) object { return role(object{"deny": object{"db_users": names(n)}}) }},
		"certificate extension": {32, func(n int) object { return extensions(n, func(object) {}) }},
		"name of an extension":  {253 - len("~@x"), func(n int) object { return extension("name", "~@x"+strings.Repeat("a", n)) }},
		"a forced command": {4096, func(n int) object {
			return role(object{"allow": object{"logins": []string{"x"}}, "options": object{"force_command": strings.Repeat("é", n)}})
		}},
		"value of an extension": {512, func(n int) object { return extension("value", strings.Repeat("é", n)) }},
		"a locked bot":          {64, func(n int) object { return lock("bot", n) }},
		"a locked role":         {253, func(n int) object { return lock("role", n) }},
		"a locked token":        {253, func(n int) object { return lock("token", n) }},
	} {
		for n, want := range map[int]bool{1: true, tc.most: true, tc.most + 1: false} {
			data, err := json.Marshal(tc.document(n))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err = rules.Parse("test.json", data); (err == nil) != want {
				t.Errorf("%s, %d: %.300v", name, n, err)
			}
		}
	}
}

// TestTheLargestFile is of 1 MiB.
func TestTheLargestFile(t *testing.T) {
	for size, want := range map[int]bool{1 << 20: true, 1<<20 + 1: false} {
		_, _, err := rules.Parse("test.yaml", []byte(botYAML+strings.Repeat("\n", size-len(botYAML))))
		if (err == nil) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
