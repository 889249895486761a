package resources

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// FuzzAnswers gives whatever a person may paste: what is taken must come back out of
// the rules as it was read, and nothing beside it.
func FuzzAnswers(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzAnswers"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	f.Fuzz(func(t *testing.T, circle bool, bot, first, second, third, fourth, audience, logins string) {
		method, given := "bitbucket", map[string]string{"issuer": first, "repository": second, "environment": third, "branch": fourth, "workspace": workspace}
		if circle {
			method, given = "circleci", map[string]string{"origin": first, "context": second, "project": third, "ref": fourth, "organization": org}
		}
		given["bot"], given["audience"], given["logins"] = bot, audience, logins
		a := answered{}
		for _, q := range questionsOf(method, now) {
			if answer, err := q.Read(given[q.Name]); err == nil && given[q.Name] != "" {
				a[q.Name] = answer
			}
		}
		if missing, err := complete(method, a, now); err != nil || len(missing) > 0 {
			return
		}
		text, _, err := writeRules(method, a)
		if err != nil {
			t.Fatalf("%v\n%q\n%s", err, a, text)
		}
		docs, _, err := rules.Parse("rules.yaml", text)
		if err != nil || len(docs) != 3 {
			t.Fatalf("%d documents, %v\n%s", len(docs), err, text)
		}
		check(t, a, docs[0].Resource.(*rules.Role), docs[2].Resource.(*rules.TokenRule))
	})
}

func check(t *testing.T, a answered, role *rules.Role, token *rules.TokenRule) {
	got := answered{
		"bot": token.BotName, "audience": token.Audience(), "logins": strings.Join(role.Allow.Logins, ","),
		"expires": token.Metadata.Expires.Format("2006-01-02T15:04:05Z07:00"),
	}
	section := token.Section()
	if len(section.Allow) != 1 || len(section.Deny) > 0 {
		t.Fatalf("%d allow rules and %d deny rules", len(section.Allow), len(section.Deny))
	}
	for _, q := range provider.Of(token.JoinMethod).New.Questions {
		got[q.Name] = section.Get(q.For) + section.Allow[0].Get(q.For)
	}
	names := []string{"bot", "audience", "logins", "expires", "issuer", "workspace", "repository", "environment", "branch", "organization", "origin", "ref", "project", "context"}
	if i := slices.IndexFunc(names, func(name string) bool { return got[name] != a[name] }); i >= 0 {
		t.Errorf("%s is %q in the rules, and %q was answered", names[i], got[names[i]], a[names[i]])
	}
}
