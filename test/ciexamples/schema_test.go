package ciexamples

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// Schemas that check-jsonschema comes with.
const (
	circleCI  = "vendor.circle-ci"
	bitbucket = "vendor.bitbucket-pipelines"
	github    = "vendor.github-workflows"
)

// document is YAML and the schema that it is to be checked by; none if it is empty.
type document struct{ schema, text string }

// pipeline prepares a pipeline. A known gap of the schema: it takes oidc for a boolean, and
// Bitbucket takes {audiences: […]} too.
func pipeline(text string) (document, error) {
	var pipeline any
	if err := yaml.Unmarshal([]byte(text), &pipeline); err != nil {
		return document{}, err
	}
	if err := plainOIDC(pipeline); err != nil {
		return document{}, err
	}
	plain, err := yaml.Marshal(pipeline)
	return document{bitbucket, string(plain)}, err
}

// script prepares a part of a pipeline as that part.
func script(text string) (document, error) {
	indented := strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n          ")
	return pipeline("pipelines:\n  default:\n    - step:\n        oidc: true\n        script:\n          " + indented + "\n")
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
			wrong := func(a any) bool { s, ok := a.(string); return !ok || s == "" || len(s) > 150 }
			if len(oidc) != 1 || len(audiences) == 0 || len(audiences) > 10 || slices.ContainsFunc(audiences, wrong) {
				return fmt.Errorf("oidc: %v is neither true nor {audiences: […]}", oidc)
			}
			v[key] = true
		}
	}
	return nil
}

// validate checks documents by their schemas, one process for each schema, and returns what
// is wrong with each that is.
func validate(t *testing.T, documents map[string]document) map[string]string {
	t.Helper()
	problems := make(map[string]string)
	for _, schema := range []string{circleCI, bitbucket, github} {
		dir := t.TempDir()
		names := make(map[string]string) // by file
		for name, document := range documents {
			if document.schema == schema {
				file := filepath.Join(dir, fmt.Sprintf("%d.yml", len(names)))
				worldtest.Must(t, os.WriteFile(file, []byte(document.text), 0o600))
				names[file] = name
			}
		}
		if len(names) == 0 {
			t.Errorf("there is nothing for %s to check", schema)
			continue
		}
		for file, problem := range checkFiles(t, schema, names) {
			problems[names[file]] += problem
		}
	}
	return problems
}

func checkFiles(t *testing.T, schema string, files map[string]string) map[string]string {
	t.Helper()
	program := worldtest.Need(t, filepath.Join(root(t), ".tools/venv-yaml/bin/check-jsonschema"))
	args := []string{"--builtin-schema", schema, "--output-format", "json"}
	for file := range files {
		args = append(args, file)
	}
	out, failed := exec.CommandContext(t.Context(), program, args...).Output()
	var report struct {
		Status      string
		Errors      []struct{ Filename, Path, Message string }
		ParseErrors []struct{ Filename, Message string } `json:"parse_errors"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%s: %v: %v\n%s", schema, failed, err, out)
	}
	problems := make(map[string]string)
	for _, e := range report.Errors {
		problems[e.Filename] += fmt.Sprintf("%s: %s: %s\n", schema, e.Path, e.Message)
	}
	for _, e := range report.ParseErrors {
		problems[e.Filename] += e.Message + "\n"
	}
	if (failed != nil) != (len(problems) > 0) || failed == nil && report.Status != "ok" {
		t.Fatalf("%s: %v\n%s", schema, failed, out)
	}
	return problems
}
