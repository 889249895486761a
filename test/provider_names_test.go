package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// namesCIs are the folders and files whose code may name claims and rule fields of a CI: where
// they are declared, where ID tokens are found and minted for tests, and what runs a
// sample of a CI.
var namesCIs = []string{"pkg/provider", "internal/client/source", "internal/issuertest", "internal/storetest", "internal/ctl/service/demo.go", "ci", "test"}

// commonNames are claims and fields whose names mean something else as well.
var commonNames = []string{"audience", "issuer", "environment", "repository", "ref", "sub", "actor", "workflow"}

// TestNobodyNamesACIsClaims keeps what is known of a CI in its one file.
func TestNobodyNamesACIsClaims(t *testing.T) {
	names := namesOfCIs()
	if len(names) < 25 {
		t.Fatalf("only %d names: %v", len(names), names)
	}
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name := filepath.ToSlash(strings.TrimPrefix(path, "../"))
		if err != nil || d.IsDir() {
			if err == nil && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || slices.Contains(namesCIs, name)) {
				return fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || slices.Contains(namesCIs, name) {
			return nil
		}
		files++
		for _, problem := range namedIn(t, path, names) {
			t.Errorf("%s %s: ask package provider", name, problem)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
}

func namesOfCIs() map[string]bool {
	names := map[string]bool{}
	for _, p := range provider.All() {
		for _, f := range p.Fields {
			names[f.Name], names[f.Claim] = true, true
		}
		for _, s := range p.Settings {
			names[s.Name] = true
		}
		for _, claim := range p.Required {
			names[claim] = true
		}
	}
	for _, name := range append(commonNames, provider.GlobSetting) {
		delete(names, name)
	}
	return names
}

// namedIn finds names in the strings of a file: alone, or as a part of a claim's path.
func namedIn(t *testing.T, path string, names map[string]bool) (problems []string) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		text, _ := strconv.Unquote(literal.Value)
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n:,;.\"'`()[]{}=", r) }) {
			if names[word] {
				problems = append(problems, "names "+word)
			}
		}
		return true
	})
	return problems
}

// Refusals of the CIs have codes of the protocol.
func TestProvidersRefuseByKnownCodes(t *testing.T) {
	codes := api.Codes()
	for _, p := range provider.All() {
		section := &provider.Section{Settings: provider.Values{{Name: "issuer", Value: "https://ci.example.com"}}}
		usual := p.Usual(section)
		for _, name := range p.Required {
			for _, value := range []any{nil, "", 7} {
				claims := provider.Claims{}
				for k, v := range usual {
					claims[k] = v
				}
				claims[name] = value
				refusal := p.CheckJob(claims, section)
				if refusal == nil || codes[api.Code(refusal.Code)] == 0 || !strings.Contains(refusal.Detail, name) {
					t.Errorf("%s, %s is %v: %+v", p.Method, name, value, refusal)
				}
			}
		}
	}
	circle := provider.Of("circleci")
	for _, claims := range []provider.Claims{
		{"oidc.circleci.com/project-id": "p", "oidc.circleci.com/ssh-rerun": true},
		{"oidc.circleci.com/project-id": "p", "oidc.circleci.com/org-id": "another"},
	} {
		if refusal := circle.CheckJob(claims, &provider.Section{}); refusal == nil || codes[api.Code(refusal.Code)] == 0 {
			t.Errorf("%v: %+v", claims, refusal)
		}
	}
}
