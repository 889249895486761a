package resources

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	workspace   = "922e118c-f34f-4226-a897-0e0afbec553d"
	repository  = "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"
	environment = "3de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"
	org         = "00000000-0000-0000-0000-000000000001"
	contextID   = "00000000-0000-0000-0000-000000000002"
	project     = "00000000-0000-0000-0000-000000000003"
	definition  = "00000000-0000-0000-0000-000000000004"
	issuer      = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	audience    = "https://join.example.com"
)

var now = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// read returns what the question of a name makes of an answer.
func read(t *testing.T, method, name, answer string) (string, error) {
	t.Helper()
	for _, q := range questionsOf(method, now) {
		if q.Name == name {
			return q.Read(answer)
		}
	}
	t.Fatalf("%s has no question %s", method, name)
	return "", nil
}

func TestWhatPeoplePasteIsUnderstood(t *testing.T) {
	tests := []struct{ name, method, question, answer, want string }{
		{"UUID with braces", "bitbucket", "workspace", "{" + workspace + "}", "{" + workspace + "}"},
		{"UUID without braces", "bitbucket", "workspace", workspace, "{" + workspace + "}"},
		{"UUID in capitals, quoted, with spaces", "bitbucket", "repository", ` "{` + strings.ToUpper(repository) + `}" `, "{" + repository + "}"},
		{"workspace out of the default audience", "bitbucket", "workspace", "ari:cloud:bitbucket::workspace/" + workspace, "{" + workspace + "}"},
		{"repository out of an address", "bitbucket", "repository", "https://bitbucket.org/acme/%7B" + repository + "%7D/src", "{" + repository + "}"},
		{"issuer as shown", "bitbucket", "issuer", issuer, issuer},
		{"issuer with a slash", "bitbucket", "issuer", issuer + "/", issuer},
		{"discovery document", "bitbucket", "issuer", issuer + "/.well-known/openid-configuration", issuer},
		{"key set", "bitbucket", "issuer", issuer + "/keys.json", issuer},
		{"settings page", "bitbucket", "issuer", "https://bitbucket.org/acme/shop/admin/pipelines/openid-connect", issuer},
		{"workspace's name for the issuer", "bitbucket", "issuer", "acme", issuer},
		{"audience", "bitbucket", "audience", audience, audience},
		{"audience with a slash", "bitbucket", "audience", audience + "/", audience},
		{"organization", "circleci", "organization", org, org},
		{"organization in braces", "circleci", "organization", "{" + org + "}", org},
		{"organization out of an issuer", "circleci", "organization", "https://oidc.circleci.com/org/" + org, org},
		{"context page", "circleci", "context", "https://app.circleci.com/settings/organization/github/acme/contexts/" + contextID, contextID},
		{"project page", "circleci", "project", "https://app.circleci.com/settings/project/" + project + "/overview", project},
		{"origin", "circleci", "origin", "github.com/acme/shop", "github.com/acme/shop"},
		{"address of the repository", "circleci", "origin", "https://github.com/acme/shop.git", "github.com/acme/shop"},
		{"remote for SSH", "circleci", "origin", "git@github.com:acme/shop.git", "github.com/acme/shop"},
		{"origin with a slash", "circleci", "origin", "https://github.com/acme/shop/", "github.com/acme/shop"},
		{"page of the repository", "circleci", "origin", "https://github.com/acme/shop?tab=readme-ov-file#install", "github.com/acme/shop"},
		{"page of a branch", "circleci", "origin", "https://github.com/acme/shop/tree/main", "github.com/acme/shop"},
		{"page of the code in Bitbucket", "circleci", "origin", "https://bitbucket.org/acme/shop/src/main/", "bitbucket.org/acme/shop"},
		{"page of GitLab, in a group of a group", "circleci", "origin", "https://gitlab.com/acme/web/shop/-/tree/main", "gitlab.com/acme/web/shop"},
		{"remote for SSH with a port", "circleci", "origin", "ssh://git@github.com:22/acme/shop.git", "github.com/acme/shop"},
		{"address with a password", "circleci", "origin", "https://somebody:secret@github.com/acme/shop.git", "github.com/acme/shop"},
		{"pattern of repositories", "circleci", "origin", "github.com/acme/shop-?", "github.com/acme/shop-?"},
		{"login twice", "circleci", "logins", "deploy,web,deploy", "deploy,web"},
		{"branch for a ref", "circleci", "ref", "main", "refs/heads/main"},
		{"branch with a slash for a ref", "circleci", "ref", "release/1", "refs/heads/release/1"},
		{"ref", "circleci", "ref", "refs/tags/v1", "refs/tags/v1"},
		{"logins", "circleci", "logins", "deploy, web", "deploy,web"},
		{"day", "bitbucket", "expires", "2026-12-31", "2026-12-31T00:00:00Z"},
		{"time", "bitbucket", "expires", "2026-12-31T12:00:00+01:00", "2026-12-31T11:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := read(t, tt.method, tt.question, tt.answer); err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestWhatIsWrongIsExplained(t *testing.T) {
	tests := []struct{ name, method, question, answer, want string }{
		{"name of the workspace", "bitbucket", "workspace", "acme", `"acme" looks like a name; write the UUID of the workspace`},
		{"slug of the repository", "bitbucket", "repository", "acme/shop", "looks like a slug or a URL"},
		{"address without an id", "bitbucket", "repository", "https://bitbucket.org/acme/shop", "does not have the id in it; it is found in Bitbucket under Repository settings > OpenID Connect"},
		{"address with two ids", "bitbucket", "repository", "https://bitbucket.org/{" + workspace + "}/{" + repository + "}", "does not have the id in it"},
		{"default audience for the repository", "bitbucket", "repository", "ari:cloud:bitbucket::workspace/" + workspace, "does not have the id in it"},
		{"name of the environment", "bitbucket", "environment", "production", "looks like a name; write the UUID of the deployment environment"},
		{"another issuer", "bitbucket", "issuer", "https://oidc.circleci.com/org/" + org, "is not an identity provider URL of Bitbucket"},
		{"issuer that leads elsewhere", "bitbucket", "issuer", "https://api.bitbucket.org/2.0/workspaces/a/../b/pipelines-config/identity/oidc", "is not an identity provider URL of Bitbucket"},
		{"issuer on a host of that name", "bitbucket", "issuer", "https://api.bitbucket.org.example.com/2.0/workspaces/acme/pipelines-config/identity/oidc", "is not an identity provider URL of Bitbucket"},
		{"issuer that hides its host", "bitbucket", "issuer", "https://api.bitbucket.org/2.0/workspaces/acme%2f/pipelines-config/identity/oidc", "not written in plain URL characters"},
		{"default audience", "bitbucket", "audience", "ari:cloud:bitbucket::workspace/" + workspace, "is the workspace's default audience"},
		{"organization as audience", "circleci", "audience", org, "is the organization's default audience"},
		{"host as audience", "circleci", "audience", "join.example.com", "does not begin with https://"},
		{"name of the organization", "circleci", "organization", "acme", `"acme" looks like a name; write the UUID of the organization`},
		{"number of the project", "circleci", "project", "1234", `"1234" is a number; write the UUID of the project`},
		{"name of the context", "circleci", "context", "deploy-prod", "looks like a name; write the UUID of the context"},
		{"organization page for the organization", "circleci", "organization", "https://app.circleci.com/settings/organization/github/acme/overview", "does not have the id in it; it is found in CircleCI under Organization Settings > Overview"},
		{"context page for the organization", "circleci", "organization", "https://app.circleci.com/settings/organization/github/acme/contexts/" + contextID, "does not have the id in it"},
		{"project page by names", "circleci", "project", "https://app.circleci.com/settings/project/github/acme/shop", "does not have the id in it; it is found in CircleCI under Project Settings > Overview"},
		{"origin without a host", "circleci", "origin", "acme/shop", "is not HOST/OWNER/NAME"},
		{"address of nothing", "circleci", "origin", "https:///acme/shop", "is not the address of a repository"},
		{"file", "circleci", "origin", "file://github.com/acme/shop", "is not the address of a repository"},
		{"origin with a gap", "circleci", "origin", "github.com//shop", "is not HOST/OWNER/NAME"},
		{"branch of two words", "bitbucket", "branch", "main branch", "which no branch or repository has in its name"},
		{"ref of two words", "circleci", "ref", "main ^", "which no branch or repository has in its name"},
		{"audience without a host", "bitbucket", "audience", "https://", "is not the URL of a service"},
		{"audience of two words", "bitbucket", "audience", "https://join.example.com and more", "is not the URL of a service"},
		{"audience with a password", "bitbucket", "audience", "https://somebody:secret@join.example.com", "is not the URL of a service"},
		{"audience with a command", "bitbucket", "audience", "https://join.example.com/$(date)", "is not the URL of a service"},
		{"login left out", "bitbucket", "logins", "deploy,,web", "a login is missing"},
		{"bot in capitals", "circleci", "bot", "Shop", `write "shop"`},
		{"root", "bitbucket", "logins", "deploy,root", "root may do anything"},
		{"login with a space", "bitbucket", "logins", "de ploy", "is not a login"},
		{"day that has passed", "bitbucket", "expires", "2026-01-15", "has passed"},
		{"no day", "bitbucket", "expires", "never", "is not a day; write it such as 2027-01-15"},
		{"nothing", "circleci", "organization", "", "is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := read(t, tt.method, tt.question, tt.answer); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}

// A question about an id tells where it is found.
func TestQuestionsTellWhere(t *testing.T) {
	for _, method := range provider.Methods() {
		for _, q := range questionsOf(method, now) {
			isID := strings.Contains(q.Text, "UUID") || strings.Contains(q.Text, " id")
			if isID != strings.Contains(q.Where, ">") && q.Name != "issuer" || q.Name == "issuer" && method == "bitbucket" && q.Where == "" {
				t.Errorf("%s %s: %q, found %q", method, q.Name, q.Text, q.Where)
			}
		}
	}
	if questionsOf("jenkins", now) != nil {
		t.Error("there are questions about a system that is not known")
	}
}

func usual(pairs ...string) answered {
	a := answered{"bot": "shop-deploy", "audience": audience, "logins": "deploy"}
	for i := 0; i < len(pairs); i += 2 {
		a[pairs[i]] = pairs[i+1]
	}
	return a
}

func bitbucket(pairs ...string) answered {
	return usual(append([]string{"issuer", issuer, "workspace", "{" + workspace + "}", "repository", "{" + repository + "}"}, pairs...)...)
}

func circleci(pairs ...string) answered {
	return usual(append([]string{"organization", org, "origin", "github.com/acme/shop"}, pairs...)...)
}

func TestPatternsAreEnabledOnlyWhereThereAreSome(t *testing.T) {
	for branch, want := range map[string]bool{"main": false, "release/*": true} {
		a := bitbucket("branch", branch, "expires", "2027-01-15T00:00:00Z")
		text, _, err := writeRules("bitbucket", a)
		if err != nil || bytes.Contains(text, []byte("enable_glob_matching: true")) != want {
			t.Errorf("%s: %v\n%s", branch, err, text)
		}
	}
}

// Every combination of what may be left out makes rules that lint finds nothing in
// above info, that store, and that say all that was answered.
func TestWhatIsWrittenLintsClean(t *testing.T) {
	tests := []struct {
		name, method string
		answers      answered
	}{
		{"environment", "bitbucket", bitbucket("environment", "{"+environment+"}")},
		{"branch", "bitbucket", bitbucket("branch", "main")},
		{"environment and branch", "bitbucket", bitbucket("environment", "{"+environment+"}", "branch", `odd "branch": #1`)},
		{"pattern of branches", "bitbucket", bitbucket("branch", "release/*")},
		{"patterns of repositories and refs", "circleci", circleci("project", project, "origin", "github.com/acme/*", "ref", "refs/heads/v?")},
		{"several logins", "bitbucket", bitbucket("branch", "main", "logins", "deploy,web")},
		{"project", "circleci", circleci("project", project)},
		{"context", "circleci", circleci("context", contextID)},
		{"project and context", "circleci", circleci("project", project, "context", contextID)},
		{"everything", "circleci", circleci("project", project, "context", contextID, "ref", "refs/heads/main", "definition", definition)},
		{"context and definition", "circleci", circleci("context", contextID, "definition", definition)},
		{"issuer of all organizations", "circleci", circleci("project", project, "issuer", "https://oidc.circleci.com")},
		{"bot that looks like a number", "circleci", circleci("project", project, "bot", "123")},
	}
	for _, tt := range tests {
		t.Run(tt.method+", "+tt.name, func(t *testing.T) {
			if missing, err := complete(tt.method, tt.answers, now); err != nil || len(missing) > 0 {
				t.Fatal(err)
			}
			text, findings, err := writeRules(tt.method, tt.answers)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if len(findings) > 0 {
				t.Errorf("lint found %v\n%s", findings, text)
			}
			docs, warnings, err := rules.Parse("rules.yaml", text)
			if err != nil || len(warnings) > 0 || len(docs) != 3 {
				t.Fatalf("%d documents, %v, %v", len(docs), warnings, err)
			}
			var stored strings.Builder
			for _, d := range docs {
				encoded, err := rules.MarshalYAML(d.Resource)
				if err != nil {
					t.Fatal(err)
				}
				stored.Write(encoded)
			}
			for name, answer := range tt.answers {
				for part := range strings.SplitSeq(answer, ",") {
					if !strings.Contains(stored.String(), part) {
						t.Errorf("%s %q is not in the rules:\n%s", name, part, text)
					}
				}
			}
			if !bytes.Contains(text, []byte("# A job joins if it matches every line")) {
				t.Error("the comments are gone")
			}
		})
	}
}

func TestCompleteNamesAllThatIsMissing(t *testing.T) {
	tests := []struct {
		name, method string
		answers      answered
		want         string
	}{
		{"nothing given", "bitbucket", answered{}, "bot, issuer, workspace, repository, audience, environment or branch missing"},
		{"nothing given", "circleci", answered{}, "bot, organization, origin, audience, project or context missing"},
		{"no gate", "bitbucket", bitbucket(), "environment or branch missing"},
		{"no project", "circleci", circleci(), "project or context missing"},
	}
	for _, tt := range tests {
		t.Run(tt.method+", "+tt.name, func(t *testing.T) {
			missing, err := complete(tt.method, tt.answers, now)
			if err != nil || strings.Join(missing, ", ")+" missing" != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if tt.answers["logins"] == "" || tt.answers["expires"] != "2027-01-15T00:00:00Z" {
				t.Errorf("defaults %v", tt.answers)
			}
		})
	}
}

func TestAskGoesOnUntilItUnderstands(t *testing.T) {
	var out bytes.Buffer
	a := answered{"bot": "shop-deploy"}
	in := strings.Join([]string{
		"acme", "acme" /* a name */, workspace, "{" + repository + "}",
		"" /* no environment */, "" /* so a branch is needed */, "main",
		"ari:cloud:bitbucket::workspace/" + workspace, audience, "", "",
	}, "\n") + "\n"
	if err := askAll(t.Context(), "bitbucket", a, now, strings.NewReader(in), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if missing, err := complete("bitbucket", a, now); err != nil || len(missing) > 0 {
		t.Fatal(err)
	}
	if a["workspace"] != "{"+workspace+"}" || a["branch"] != "main" || a["environment"] != "" || a["audience"] != audience || a["logins"] != "deploy" {
		t.Errorf("answers %v", a)
	}
	for _, want := range []string{
		`✖ "acme" looks like a name; write the UUID of the workspace`, "found in Bitbucket under Repository settings > OpenID Connect",
		"✖ is missing", "✖ \"ari:cloud", "[leave out] >", "[deploy] >", "[2027-01-15] >",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q was not said:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "name of the bot") {
		t.Error("what was known was asked for")
	}
	if err := askAll(t.Context(), "circleci", answered{}, now, strings.NewReader("shop\n"), &out); !errors.Is(err, errNoAnswer) {
		t.Errorf("an input that ends: %v", err)
	}
}

// Who interrupts is let go, though no line comes.
func TestAskEndsWhenInterrupted(t *testing.T) {
	silent, end := io.Pipe()
	defer end.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, interrupt)
	if err := askAll(ctx, "circleci", answered{}, now, silent, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFromClaims(t *testing.T) {
	const circle = `{"iss":"https://oidc.circleci.com/org/` + org + `","aud":"` + org + `",
		"oidc.circleci.com/project-id":"` + project + `","oidc.circleci.com/context-ids":["` + contextID + `","` + definition + `"],
		"oidc.circleci.com/vcs-origin":"github.com/acme/shop","oidc.circleci.com/vcs-ref":"refs/heads/main"}`
	const bucket = `{"iss":"` + issuer + `","aud":"` + audience + `","workspaceUuid":"{` + workspace + `}",
		"repositoryUuid":"{` + repository + `}","branchName":"main"}`
	claims := func(method, payload string) *token.Unverified {
		u, err := token.ParseClaims([]byte(payload), method)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	a, notes, err := answersOfClaims("circleci", claims("circleci", circle))
	if err != nil || a["organization"] != org || a["project"] != project || a["origin"] != "github.com/acme/shop" || a["ref"] != "refs/heads/main" {
		t.Errorf("answers %v, %v", a, err)
	}
	if _, there := a["context"]; there || a["audience"] != "" {
		t.Errorf("one of several contexts, or a shared audience, was chosen: %v", a)
	}
	if said := strings.Join(notes, "\n"); !strings.Contains(said, "several of context_id") || !strings.Contains(said, "--audience is not taken from the token") {
		t.Errorf("notes %q", said)
	}
	a, notes, err = answersOfClaims("bitbucket", claims("bitbucket", bucket))
	if err != nil || len(notes) > 0 || a["issuer"] != issuer || a["audience"] != audience || a["branch"] != "main" {
		t.Errorf("answers %v, notes %v, %v", a, notes, err)
	}
	// A rule made of a job's claims matches that job, letter for letter.
	odd := strings.NewReplacer(audience, audience+"/", `"main"`, `"'main'"`).Replace(bucket)
	if a, _, err = answersOfClaims("bitbucket", claims("bitbucket", odd)); err != nil || a["audience"] != audience+"/" || a["branch"] != "'main'" {
		t.Errorf("odd claims: %v, %v", a, err)
	}
	odd = strings.Replace(circle, "acme/shop", "acme/shop.git", 1)
	if a, _, err = answersOfClaims("circleci", claims("circleci", odd)); err != nil || a["origin"] != "github.com/acme/shop.git" {
		t.Errorf("odd claims: %v, %v", a, err)
	}
	odd = strings.Replace(circle, "refs/heads/main", "refs/heads/*", 1)
	if a, notes, err = answersOfClaims("circleci", claims("circleci", odd)); err != nil || a["ref"] != "" || !strings.Contains(strings.Join(notes, "\n"), "would be a pattern") {
		t.Errorf("a claim became a pattern: %v, %v, %v", a, notes, err)
	}
	server := strings.Replace(circle, `"iss":"https://oidc.circleci.com/org/`+org, `"oidc.circleci.com/org-id":"`+org+`","iss":"https://circleci.example.com`, 1)
	if a, _, err = answersOfClaims("circleci", claims("circleci", server)); err != nil || a["issuer"] != "https://circleci.example.com" || a["organization"] != org {
		t.Errorf("a server of one's own: %v, %v", a, err)
	}
	for method, payload := range map[string]string{"bitbucket": circle, "circleci": bucket} {
		if _, _, err := answersOfClaims(method, claims(method, payload)); err == nil {
			t.Errorf("a token of the other system was taken for one of %s", method)
		}
	}
}
