package token_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

const circle = "oidc.circleci.com/"

func TestCircleCIProjectIsRequired(t *testing.T) {
	w := ecWorld()
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    token.Code
	}{
		"present": {nil, accept},
		"absent, as in a token of audit log streaming": {
			append(without(circle+"project-id"), issuertest.WithClaim("sub", "org/"+issuertest.OrganizationID+"/file-streaming/audit-logs")), token.MissingClaim},
		"empty":  {claim(circle+"project-id", ""), token.MissingClaim},
		"null":   {claim(circle+"project-id", nil), token.Malformed},
		"number": {claim(circle+"project-id", 3), token.Malformed},
		"array":  {claim(circle+"project-id", []string{issuertest.ProjectID}), token.Malformed},
		"no job, workflow or pipeline": {[]issuertest.Option{issuertest.WithoutClaim(circle + "job-id"),
			issuertest.WithoutClaim(circle + "workflow-id"), issuertest.WithoutClaim(circle + "pipeline-id")}, accept},
	} {
		t.Run(name, func(t *testing.T) {
			expectVerdict(t, w, w.mintCircleCI(t, tc.options...), w.circleCI(), now(), tc.want, true)
		})
	}
}

func TestCircleCISSHRerun(t *testing.T) {
	w := ecWorld()
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    token.Code
	}{
		"absent":         {without(circle + "ssh-rerun"), accept},
		"false":          {claim(circle+"ssh-rerun", false), accept},
		"true":           {claim(circle+"ssh-rerun", true), token.SSHRerunRefused},
		"null":           {claim(circle+"ssh-rerun", nil), token.SSHRerunRefused},
		"0":              {claim(circle+"ssh-rerun", 0), token.SSHRerunRefused},
		"1":              {claim(circle+"ssh-rerun", 1), token.SSHRerunRefused},
		"string false":   {claim(circle+"ssh-rerun", "false"), token.SSHRerunRefused},
		"empty string":   {claim(circle+"ssh-rerun", ""), token.SSHRerunRefused},
		"array of false": {claim(circle+"ssh-rerun", []bool{false}), token.SSHRerunRefused},
		"object":         {claim(circle+"ssh-rerun", map[string]bool{}), token.SSHRerunRefused},
	} {
		t.Run(name, func(t *testing.T) {
			raw := w.mintCircleCI(t, tc.options...)
			expectVerdict(t, w, raw, w.circleCI(), now(), tc.want, true)
			allowed := w.circleCI()
			allowed.Section.Flags = []string{"allow_ssh_rerun"}
			expectVerdict(t, w, raw, allowed, now(), accept, true)
		})
	}
}

func TestCircleCIOrganization(t *testing.T) {
	w := ecWorld()
	const org, other = "0000abcd-0000-4000-8000-00000000000f", "0000abcd-0000-4000-8000-00000000000e"
	for name, tc := range map[string]struct {
		options            []issuertest.Option
		cloud, selfManaged token.Code
	}{
		"equal":                 {claim(circle+"org-id", org), accept, accept},
		"equal but for case":    {claim(circle+"org-id", strings.ToUpper(org)), accept, accept},
		"another":               {claim(circle+"org-id", other), token.WrongIssuer, token.WrongIssuer},
		"equal but for braces":  {claim(circle+"org-id", "{"+org+"}"), accept, accept}, // as all ids of rules are compared
		"half in braces":        {claim(circle+"org-id", "{"+org), token.WrongIssuer, token.WrongIssuer},
		"its beginning":         {claim(circle+"org-id", org[:35]), token.WrongIssuer, token.WrongIssuer},
		"absent":                {without(circle + "org-id"), accept, token.MissingClaim},
		"empty":                 {claim(circle+"org-id", ""), token.MissingClaim, token.MissingClaim},
		"null":                  {claim(circle+"org-id", nil), token.Malformed, token.Malformed},
		"array that has it":     {claim(circle+"org-id", []string{org}), token.Malformed, token.Malformed},
		"in sub, and not there": {append(without(circle+"org-id"), issuertest.WithClaim("sub", "org/"+org)), accept, token.MissingClaim},
	} {
		t.Run(name, func(t *testing.T) {
			raw := w.mintCircleCI(t, tc.options...)
			e := w.circleCI()
			e.Section = circleSection(org)
			expectVerdict(t, w, raw, e, now(), tc.cloud, true)
			e.Section = circleSection(org, provider.Named{Name: "issuer", Value: e.Issuer})
			expectVerdict(t, w, raw, e, now(), tc.selfManaged, true)
		})
	}
}

func TestCircleCIVersionsHaveTheSameFields(t *testing.T) {
	w := ecWorld()
	want := map[string][]string{
		"context_id":             {issuertest.ContextID},
		"project_id":             {issuertest.ProjectID},
		"pipeline_definition_id": {issuertest.PipelineDefinitionID},
		"vcs_origin":             {"github.com/acme/shop"},
		"vcs_ref":                {"refs/heads/main"},
	}
	for name, v1 := range map[string]bool{"version 1": true, "version 2": false} {
		t.Run(name, func(t *testing.T) {
			raw, err := w.CircleCI(issuertest.CircleCIJob{Audience: []string{audience}, V1: v1})
			if err != nil {
				t.Fatal(err)
			}
			v, err := verify(raw, w.keys, w.circleCI(), now())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(v.Subject, "vcs-origin") == v1 {
				t.Errorf("sub is %s", v.Subject)
			}
			if !reflect.DeepEqual(v.Fields, want) {
				t.Errorf("fields %v, want %v", v.Fields, want)
			}
		})
	}
}

func TestCircleCIFields(t *testing.T) {
	w := ecWorld()
	long := strings.Repeat("x", 300)
	for name, tc := range map[string]struct {
		options []issuertest.Option
		field   string
		want    []string
	}{
		"two contexts":               {claim(circle+"context-ids", []string{"a", "b"}), "context_id", []string{"a", "b"}},
		"no context":                 {claim(circle+"context-ids", []string{}), "context_id", nil},
		"contexts absent":            {without(circle + "context-ids"), "context_id", nil},
		"contexts as a string":       {claim(circle+"context-ids", issuertest.ContextID), "context_id", nil},
		"contexts null":              {claim(circle+"context-ids", nil), "context_id", nil},
		"contexts with a number":     {claim(circle+"context-ids", []any{issuertest.ContextID, 1}), "context_id", nil},
		"contexts nested":            {claim(circle+"context-ids", []any{[]string{issuertest.ContextID}}), "context_id", nil},
		"contexts as an object":      {claim(circle+"context-ids", map[string]string{"0": issuertest.ContextID}), "context_id", nil},
		"an empty context":           {claim(circle+"context-ids", []string{"", "b"}), "context_id", []string{"b"}},
		"nothing but empty contexts": {claim(circle+"context-ids", []string{"", ""}), "context_id", nil},
		"context-id in the singular": {append(without(circle+"context-ids"), issuertest.WithClaim(circle+"context-id", "a")), "context_id", nil},
		"origin absent":              {without(circle + "vcs-origin"), "vcs_origin", nil},
		"origin an array":            {claim(circle+"vcs-origin", []string{"github.com/acme/shop"}), "vcs_origin", nil},
		"origin without the prefix":  {append(without(circle+"vcs-origin"), issuertest.WithClaim("vcs-origin", "github.com/acme/shop")), "vcs_origin", nil},
		"ref of a fork's pull":       {claim(circle+"vcs-ref", "refs/heads/pull/7"), "vcs_ref", []string{"refs/heads/pull/7"}},
		"ref with a star":            {claim(circle+"vcs-ref", "refs/heads/*"), "vcs_ref", []string{"refs/heads/*"}},
		"long ref":                   {claim(circle+"vcs-ref", long), "vcs_ref", []string{long}},
		"ref empty":                  {claim(circle+"vcs-ref", ""), "vcs_ref", nil},
		"definition a number":        {claim(circle+"pipeline-definition-id", 4), "pipeline_definition_id", nil},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := verify(w.mintCircleCI(t, tc.options...), w.keys, w.circleCI(), now())
			if err != nil {
				t.Fatal(err)
			}
			if got, there := v.Fields[tc.field]; !reflect.DeepEqual(got, tc.want) || there != (tc.want != nil) {
				t.Errorf("%s is %q, want %q", tc.field, got, tc.want)
			}
		})
	}
}
