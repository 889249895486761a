package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The linters of the field pass on the template, and on what becomes of it.
func TestTemplateLint(t *testing.T) {
	plainFile := write(t, t.TempDir(), "plain.json", string(plainText(t)))
	for name, command := range map[string][]string{
		"sam validate":      {venv(t, "sam", "sam"), "validate", "--lint", "--template", "../template.yaml"},
		"cfn-lint":          {venv(t, "sam", "cfn-lint"), "-c", "I", "-t", "../template.yaml", "../infra/dashboard.yaml"},
		"cfn-lint on plain": {venv(t, "sam", "cfn-lint"), "-c", "I", "-t", plainFile},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Env = samEnv()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func plainText(t *testing.T) []byte {
	t.Helper()
	plain(t)
	text, err := translated()
	must(t, err)
	return text
}

// checkovReport is what checkov -o json prints.
type checkovReport struct {
	Results struct {
		Passed  []checkovResult `json:"passed_checks"`
		Failed  []checkovResult `json:"failed_checks"`
		Skipped []checkovResult `json:"skipped_checks"`
		Errors  []string        `json:"parsing_errors"`
	} `json:"results"`
}

type checkovResult struct {
	ID       string `json:"check_id"`
	Name     string `json:"check_name"`
	Resource string `json:"resource"` // TYPE.NAME
	Result   struct {
		Comment string `json:"suppress_comment"`
	} `json:"check_result"`
}

// skip is one check that the template asks to be left out for one resource.
type skip struct{ resource, id string }

// Every check of checkov passes or is skipped with a written reason; no skip is
// left that nothing needs any more.
func TestTemplateCheckov(t *testing.T) {
	plainFile := write(t, t.TempDir(), "plain.json", string(plainText(t)))
	skipped := map[skip]string{}
	cmd := exec.CommandContext(t.Context(), venv(t, "checkov", "checkov"),
		"--skip-download", "--framework", "cloudformation", "-f", "../template.yaml", "-f", plainFile, "-o", "json")
	out, err := cmd.Output()
	var report checkovReport
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		t.Fatalf("checkov: %v, %v\n%s", err, jsonErr, out)
	}
	for _, failed := range report.Results.Failed {
		t.Errorf("%s: %s (%s)", failed.Resource, failed.Name, failed.ID)
	}
	// 50 of the one file and 52 of the other, when this was written.
	if len(report.Results.Errors) > 0 || len(report.Results.Passed) < 90 {
		t.Errorf("%d checks passed, errors %q", len(report.Results.Passed), report.Results.Errors)
	}
	for _, s := range report.Results.Skipped {
		skipped[skip{s.Resource[strings.LastIndex(s.Resource, ".")+1:], s.ID}] = s.Result.Comment
	}
	written := skips(t)
	for s, reason := range written {
		if _, ok := skipped[s]; !ok {
			t.Errorf("%s skips %s, which it would pass", s.resource, s.id)
		}
		if len(strings.Fields(reason)) < 5 {
			t.Errorf("%s skips %s and says no reason: %q", s.resource, s.id, reason)
		}
	}
	if len(written) == 0 || len(written) != len(skipped) {
		t.Errorf("the template writes %d skips and checkov makes %d", len(written), len(skipped))
	}
}

var (
	logicalName = regexp.MustCompile(`^  (\w+):`)
	writtenSkip = regexp.MustCompile(`^ +- \{id: (\w+), comment: (.*)\}$`)
)

// skips reads the reasons where they are written, before anything parses them.
func skips(t *testing.T) map[skip]string {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	must(t, err)
	found := map[skip]string{}
	var name string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if m := logicalName.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		if m := writtenSkip.FindStringSubmatch(line); m != nil {
			found[skip{name, m[1]}] = m[2]
		}
		if strings.Contains(line, "CKV") && !writtenSkip.MatchString(line) {
			t.Errorf("a skip is not written as {id: …, comment: …}: %s", line)
		}
		// cfn-lint's have no field for a reason: it is a comment on the line before.
		if strings.Contains(line, "cfn-lint:") && !strings.Contains(line, "# ") {
			t.Errorf("%s turns checks of cfn-lint off and says no reason", name)
		}
	}
	return found
}
