package test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/deploy.md tells of each parameter, each alarm and each permission by its
// name, and of none that there is not.
func TestTemplateDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/deploy.md")
	must(t, err)
	docs := string(text)
	s := deployed(t, "TableKeyArn="+ownKey)

	names := slices.Collect(maps.Keys(s.Parameters))
	names = append(names, s.all("AWS::CloudWatch::Alarm")...)
	names = append(names, s.all("AWS::CloudWatch::CompositeAlarm")...)
	for _, role := range s.all("AWS::IAM::Role") {
		for _, st := range s.role(role) {
			names = append(names, st.Sid)
		}
	}
	for _, key := range s.all("AWS::KMS::Key") {
		for _, st := range statements(t, s.resource(key)["KeyPolicy"]) {
			names = append(names, st.Sid)
		}
	}
	for _, st := range statements(t, s.resource("AdministratorPolicy")["PolicyDocument"]) {
		names = append(names, st.Sid)
	}
	if len(names) < 60 || slices.Contains(names, "") {
		t.Fatalf("the template names %d things: %v", len(names), names)
	}
	for _, name := range names {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(docs) {
			t.Errorf("docs/deploy.md does not tell of %s", name)
		}
	}

	// The permissions that it tells of are there.
	_, permissions, _ := strings.Cut(docs, "## What each permission is for")
	permissions, _, _ = strings.Cut(permissions, "\n## ")
	for _, span := range regexp.MustCompile("`([A-Z][A-Za-z]+)`").FindAllStringSubmatch(permissions, -1) {
		_, output := s.Outputs[span[1]]
		if !output && !slices.Contains(names, span[1]) {
			t.Errorf("docs/deploy.md tells of %s, and there is none", span[1])
		}
	}
}
