package scaffold

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Question is one thing that the rules need to know.
type Question struct {
	Name     string // of the answer, and of the flag that gives it
	Text     string // what is asked, in a few words
	Where    string // where a person finds it; "" if it is theirs to choose
	Required bool
	Default  string // the answer if none is given
	Unasked  bool   // few need it: it is not asked for, and can be given by its flag
	// Read returns an answer as the rules have it. Its error says what to write instead.
	Read func(answer string) (string, error)
}

// Answers are answers by the names of their questions, as Read returned them; one
// that was not given is absent.
type Answers map[string]string

// Methods are the CI systems that there are questions for.
func Methods() []string { return []string{"bitbucket", "circleci"} }

// Questions returns what is asked for a method, in a sensible order; nil for an
// unknown one. now is what an end is reckoned from.
func Questions(method string, now time.Time) []Question {
	var questions []Question
	switch method {
	case "bitbucket":
		questions = bitbucketQuestions()
	case "circleci":
		questions = circleCIQuestions()
	default:
		return nil
	}
	about := []Question{{
		Name: "bot", Text: "name of the bot that the jobs become", Required: true,
		Read: func(s string) (string, error) { return rules.CheckField("bot_name", s) },
	}}
	rest := []Question{
		{Name: "audience", Text: "audience: the URL of your Gatepass service, which the job asks its ID token for", Required: true, Read: readAudience},
		{Name: "logins", Text: "SSH logins that the jobs get, with commas between", Default: "deploy", Read: readLogins},
		{Name: "expires", Text: "day on which the rule shall end, to be looked at again", Default: now.AddDate(1, 0, 0).UTC().Format(time.DateOnly),
			Read: func(s string) (string, error) { return readEnd(s, now) }},
	}
	return slices.Concat(about, questions, rest)
}

func bitbucketQuestions() []Question {
	const page = "Repository settings > OpenID Connect"
	return []Question{
		{Name: "issuer", Text: "identity provider URL", Where: "in Bitbucket under " + page, Required: true, Read: readBitbucketIssuer},
		id("workspace", "workspace_uuid", "workspace UUID", true),
		id("repository", "repository_uuid", "repository UUID", true),
		id("environment", "deployment_environment_uuid", "deployment environment UUID, if only its deployments may join", false),
		{Name: "branch", Text: "branch, if only its pipelines may join", Read: readBranch},
	}
}

func circleCIQuestions() []Question {
	return []Question{
		id("organization", "organization_id", "organization id", true),
		id("project", "project_id", "project id", false),
		id("context", "context_id", "context id, if only jobs with that context may join", false),
		{Name: "origin", Text: "repository that the code comes from, such as github.com/acme/shop", Where: "in the address of the repository", Required: true, Read: readOrigin},
		{Name: "ref", Text: "branch, if only its pipelines may join", Read: readRef},
		id("definition", "pipeline_definition_id", "pipeline definition id, if only that pipeline may join", false),
		{Name: "issuer", Text: "issuer of the ID tokens, of a CircleCI server of your own", Unasked: true, Read: readIssuer},
	}
}

func id(name, ofField, text string, required bool) Question {
	return Question{Name: name, Text: text, Where: rules.Where(ofField), Required: required,
		Read: func(s string) (string, error) { return readID(ofField, s) }}
}

// MissingError names the answers that are required and were not given.
type MissingError struct{ Names []string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s missing", strings.Join(e.Names, ", "))
}

// Complete fills in defaults and says what is still missing.
func Complete(method string, a Answers, now time.Time) error {
	missing := &MissingError{}
	for _, q := range Questions(method, now) {
		if a[q.Name] != "" {
			continue
		}
		if q.Default != "" {
			answer, err := q.Read(q.Default)
			if err != nil {
				return err
			}
			a[q.Name] = answer
		} else if q.Required {
			missing.Names = append(missing.Names, q.Name)
		}
	}
	for _, pair := range OneOf(method) {
		if a[pair[0]] == "" && a[pair[1]] == "" {
			missing.Names = append(missing.Names, pair[0]+" or "+pair[1])
		}
	}
	if len(missing.Names) > 0 {
		return missing
	}
	return nil
}

// OneOf returns pairs of answers of which one at least is required: a rule without
// would let in more than is likely meant.
func OneOf(method string) [][2]string {
	if method == "bitbucket" {
		return [][2]string{{"environment", "branch"}}
	}
	return [][2]string{{"project", "context"}}
}
