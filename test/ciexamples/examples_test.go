// Package ciexamples checks every YAML that users are shown: in the guides of both CI
// systems, in the pages of the pipe and the orb, and in the orb's own examples.
package ciexamples

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/commandtest"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestMain(m *testing.M) { commandtest.Main(m) }

// kinds are what the first line of a block may say that it is, and what checks it.
var kinds = map[string]func(t *testing.T, text string) error{
	"# .circleci/config.yml":    func(t *testing.T, text string) error { return schema(t, "vendor.circle-ci", text) },
	"# bitbucket-pipelines.yml": checkBitbucket,
	"# the script of a step":    checkScript,
	"# rules.yaml":              func(_ *testing.T, text string) error { return checkRules(text) },
}

// pages are the files with blocks, and the kinds that each must have.
var pages = map[string][]string{
	"docs/circleci.md":            {"# .circleci/config.yml", "# rules.yaml"},
	"docs/bitbucket.md":           {"# bitbucket-pipelines.yml", "# rules.yaml"},
	"ci/circleci-orb/README.md":   {"# .circleci/config.yml"},
	"ci/bitbucket-pipe/README.md": {"# bitbucket-pipelines.yml"},
}

func TestExamples(t *testing.T) {
	for page, wanted := range pages {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join(root(t), page))
			commandtest.Must(t, err)
			found := make(map[string]bool)
			for _, block := range blocks(string(raw)) {
				kind, err := check(t, block.text)
				if err != nil {
					t.Errorf("%s:%d: %v", page, block.line, err)
				}
				found[kind] = true
			}
			for _, kind := range wanted {
				if !found[kind] {
					t.Errorf("%s has no block %s", page, kind)
				}
			}
		})
	}
}

// No page of the two is forgotten: every page with a block that says what it is, is known here.
func TestEveryPageIsKnown(t *testing.T) {
	tree := os.DirFS(root(t))
	var found int
	for _, folder := range []string{"docs", "ci"} {
		err := fs.WalkDir(tree, folder, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".md") {
				return err
			}
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			for _, block := range blocks(string(text)) {
				first, _, _ := strings.Cut(block.text, "\n")
				if kinds[first] == nil {
					continue
				}
				found++
				if pages[name] == nil {
					t.Errorf("%s:%d: a block of %s in a page that is not checked here", name, block.line, first)
				}
			}
			return nil
		})
		commandtest.Must(t, err)
	}
	if found == 0 {
		t.Error("there are no blocks")
	}
}

// The pipelines of the pipe's own repository.
func TestPipelines(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root(t), "ci/*/bitbucket-pipelines.yml"))
	commandtest.Must(t, err)
	if len(files) == 0 {
		t.Error("there are none")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		commandtest.Must(t, err)
		if err := checkBitbucket(t, string(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The orb, and its examples as configurations.
func TestOrb(t *testing.T) {
	orb, err := os.ReadFile(filepath.Join(root(t), "ci/circleci-orb/orb.yml"))
	commandtest.Must(t, err)
	if err := schema(t, "vendor.circle-ci", string(orb)); err != nil {
		t.Error(err)
	}
	var packed struct {
		Examples map[string]struct {
			Usage yaml.Node
		}
	}
	commandtest.Must(t, yaml.Unmarshal(orb, &packed))
	if len(packed.Examples) == 0 {
		t.Error("the orb has no examples")
	}
	for name, example := range packed.Examples {
		usage, err := yaml.Marshal(&example.Usage)
		commandtest.Must(t, err)
		if err := schema(t, "vendor.circle-ci", string(usage)); err != nil {
			t.Errorf("example %s: %v", name, err)
		}
	}
}

func root(t *testing.T) string {
	t.Helper()
	root, err := commandtest.Root()
	commandtest.Must(t, err)
	return root
}

// block is a fenced block of YAML and the line of its fence.
type block struct {
	text string
	line int
}

var fence = regexp.MustCompile("(?ms)^[ \t]*```ya?ml[^\n]*\n(.*?)^[ \t]*```")

func blocks(page string) (found []block) {
	for _, at := range fence.FindAllStringSubmatchIndex(page, -1) {
		found = append(found, block{text: page[at[2]:at[3]], line: strings.Count(page[:at[0]], "\n") + 1})
	}
	return found
}

// check returns what the block says that it is, and what is wrong with it.
func check(t *testing.T, text string) (string, error) {
	kind, _, _ := strings.Cut(text, "\n")
	checker, ok := kinds[kind]
	if !ok {
		return "", fmt.Errorf("the block begins with %q, which is no known kind of file", kind)
	}
	return kind, checker(t, text)
}

func checkRules(text string) error {
	resources, warnings, err := rules.Parse("rules.yaml", []byte(text))
	switch {
	case err != nil:
		return err
	case len(warnings) > 0:
		return fmt.Errorf("%v", warnings)
	case len(resources) == 0:
		return errors.New("there is no resource")
	}
	return nil
}

// checkBitbucket checks a pipeline. A known gap of the schema that check-jsonschema has: it
// takes oidc for a boolean, and Bitbucket takes {audiences: […]} too.
func checkBitbucket(t *testing.T, text string) error {
	var pipeline any
	if err := yaml.Unmarshal([]byte(text), &pipeline); err != nil {
		return err
	}
	if err := plainOIDC(pipeline); err != nil {
		return err
	}
	plain, err := yaml.Marshal(pipeline)
	if err != nil {
		return err
	}
	return schema(t, "vendor.bitbucket-pipelines", string(plain))
}

// checkScript checks a part of a pipeline as that part.
func checkScript(t *testing.T, text string) error {
	indented := strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n          ")
	return checkBitbucket(t, "pipelines:\n  default:\n    - step:\n        oidc: true\n        script:\n          "+indented+"\n")
}

// plainOIDC replaces {audiences: […]} by true, having checked it itself: at most ten, of at
// most 150 characters.
func plainOIDC(value any) error {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			if err := plainOIDC(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, item := range v {
			oidc, isMap := item.(map[string]any)
			if key != "oidc" || !isMap {
				if err := plainOIDC(item); err != nil {
					return err
				}
				continue
			}
			audiences, _ := oidc["audiences"].([]any)
			if len(oidc) != 1 || len(audiences) == 0 || len(audiences) > 10 ||
				slices.ContainsFunc(audiences, func(a any) bool { s, ok := a.(string); return !ok || s == "" || len(s) > 150 }) {
				return fmt.Errorf("oidc: %v is neither true nor {audiences: […]}", oidc)
			}
			v[key] = true
		}
	}
	return nil
}

// schema checks a file against a schema that check-jsonschema comes with.
func schema(t *testing.T, name, text string) error {
	t.Helper()
	program := commandtest.Need(t, filepath.Join(root(t), ".tools/venv-yaml/bin/check-jsonschema"))
	file := filepath.Join(t.TempDir(), "file.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(t.Context(), program, "--builtin-schema", name, file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// TestChecksCatch gives each check something wrong.
func TestChecksCatch(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a block of no kind", "version: 2.1\n", "which is no known kind"},
		{"a kind in other words", "# circleci\nversion: 2.1\n", "which is no known kind"},
		{"a job without an executor's name", "# .circleci/config.yml\nversion: 2.1\njobs: {a: {docker: [{image: 7}], steps: [checkout]}}\n", "vendor.circle-ci"},
		{"when from a parameter, which the schema does not know", "# .circleci/config.yml\nversion: 2.1\njobs:\n  a:\n    docker: [{image: b}]\n    steps: [run: {command: c, when: <<parameters.when>>}]\n", "vendor.circle-ci"},
		{"a pipeline of another form", "# bitbucket-pipelines.yml\npipelines: {default: [step: {oidc: true, script: 7}]}\n", "vendor.bitbucket-pipelines"},
		{"oidc that is neither", "# bitbucket-pipelines.yml\npipelines: {default: [step: {oidc: {audience: a}, script: [b]}]}\n", "is neither true nor"},
		{"a script that is none", "# the script of a step\n- pipe: 7\n", "vendor.bitbucket-pipelines"},
		{"an unknown field of a rule", "# rules.yaml\nkind: bot\nversion: v1\nmetadata: {name: a}\nspec: {role: [b]}\n", "role"},
		{"an empty file of rules", "# rules.yaml\n", "there is no resource"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := check(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	t.Run("audiences are fine", func(t *testing.T) {
		t.Parallel()
		if _, err := check(t, "# bitbucket-pipelines.yml\npipelines: {default: [step: {oidc: {audiences: [a]}, script: [b]}]}\n"); err != nil {
			t.Error(err)
		}
	})
}
