package test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatepass-ci/gatepass/"

// listed is what `go list` says of a package; test files do not count.
type listed struct {
	ImportPath string
	Imports    []string // its own
	Deps       []string // theirs too, and so on: what a program of it links
}

// importRule keeps some packages from importing others. Names without a dot are of
// this module; one that ends in /... is a package with all below it.
type importRule struct {
	packages []string // each must exist
	only     []string // of this module they may import these and themselves; nil: any
	never    []string // they import none of these themselves
	unlinked []string // nor does anything that they import
	apart    bool     // they do not import each other
}

const aws = "github.com/aws/..."

var (
	outside = []string{"net/http/...", "os/...", "syscall", aws}

	// forTests are made for tests; programs link none of them.
	forTests = []string{"testing/...", "net/http/httptest",
		"internal/awstest", "internal/issuertest",
		"internal/sshdtest", "internal/worldtest", "internal/storetest", "test/..."}

	// importRules are docs/decisions/0001-layout.md's.
	importRules = []importRule{
		// What there is to know of each CI is below all else.
		{packages: []string{"pkg/provider"}, only: []string{}, never: outside, unlinked: []string{aws}},
		// The four parts of a decision know nothing of each other.
		{packages: []string{"pkg/rules"}, only: []string{"internal/words", "pkg/provider"}, never: outside, unlinked: []string{aws}},
		{packages: []string{"pkg/api"}, only: []string{}, never: outside, unlinked: []string{aws}},
		{packages: []string{"internal/token"}, only: []string{"pkg/provider"}, never: outside, unlinked: []string{aws}},
		{packages: []string{"internal/cert"}, only: []string{}, never: outside, unlinked: []string{aws}},
		// What is stored is said in their terms.
		{packages: []string{"internal/store"}, only: []string{"pkg/rules", "pkg/api", "internal/cert"},
			never: outside, unlinked: []string{aws}},
		// An authority's life is as pure: adapters keep its keys.
		{packages: []string{"internal/authority"}, only: []string{"pkg/api", "internal/cert", "internal/store"},
			never: outside, unlinked: []string{aws}},
		// The use case joins them, and reaches the world through its ports alone.
		{packages: []string{"internal/join"},
			only:  []string{"pkg/provider", "pkg/rules", "pkg/api", "internal/token", "internal/cert", "internal/store", "internal/authority"},
			never: outside, unlinked: []string{aws}},
		// What people read, and what a release is verified by, are pure functions, which every package may use.
		{packages: []string{"internal/words", "internal/wait", "internal/release"}, only: []string{}, never: outside, unlinked: []string{aws}},
		{packages: []string{"internal/owned"}, only: []string{}, unlinked: []string{aws}},
		{packages: []string{"internal/cli"}, only: []string{"internal/words"}, unlinked: []string{aws}},
		// What implements stores knows none of their users.
		{packages: []string{"internal/dynamo", "internal/sqlite"}, unlinked: []string{"internal/admin", "internal/join", "internal/jwks"}},
		// The functions do nothing that administrators do.
		{packages: []string{"functions/..."}, unlinked: []string{"internal/admin", "internal/sqlite", "internal/localca"}},
		// The commands of one noun know nothing of another's, and use cases nothing of commands.
		{packages: []string{"internal/ctl/authorities", "internal/ctl/hosts", "internal/ctl/joins", "internal/ctl/resources", "internal/ctl/service"}, apart: true},
		{packages: []string{"internal/ctl"}, never: []string{"internal/ctl/authorities", "internal/ctl/hosts", "internal/ctl/joins", "internal/ctl/resources", "internal/ctl/service"}},
		{packages: []string{"internal/admin"}, unlinked: []string{"internal/ctl/...", "internal/cli", aws}},
		// The client runs in other people's jobs.
		{packages: []string{"cmd/gatepass", "internal/client/..."}, only: []string{"pkg/api", "pkg/provider", "internal/cli", "internal/words", "internal/wait", "internal/client/..."},
			unlinked: []string{aws}},
		{packages: []string{"cmd/...", "functions/..."}, unlinked: forTests},
	}
)

func TestImports(t *testing.T) {
	packages := listPackages(t)
	for _, problem := range breaches(importRules, packages) {
		t.Error(problem)
	}
	for _, name := range forTests {
		if strings.HasPrefix(name, "internal/") && !slices.ContainsFunc(packages, func(p listed) bool { return p.ImportPath == module+name }) {
			t.Errorf("there is no package %s", name)
		}
	}
}

// listPackages asks go for the packages of the module.
func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// breaches returns a line for each import that a rule forbids, and for each package
// that a rule names and that is not there: a rule about nothing would always hold.
func breaches(rules []importRule, packages []listed) (problems []string) {
	for _, rule := range rules {
		found := make(map[string]bool)
		for _, p := range packages {
			if pattern := matching(rule.packages, p.ImportPath); pattern != "" {
				found[pattern] = true
				problems = append(problems, rule.breaches(p)...)
			}
		}
		for _, pattern := range rule.packages {
			if !found[pattern] {
				problems = append(problems, fmt.Sprintf("there is no package %s", pattern))
			}
		}
	}
	return problems
}

func (rule importRule) breaches(p listed) (problems []string) {
	name := strings.TrimPrefix(p.ImportPath, module)
	for _, imported := range p.Imports {
		ours := strings.HasPrefix(imported, module)
		if ours && rule.only != nil && matching(slices.Concat(rule.only, rule.packages), imported) == "" {
			problems = append(problems, fmt.Sprintf("%s imports %s: of this module it may import %s",
				name, strings.TrimPrefix(imported, module), cmp.Or(strings.Join(rule.only, ", "), "nothing")))
		}
		if other := matching(rule.packages, imported); rule.apart && other != "" && other != name {
			problems = append(problems, fmt.Sprintf("%s imports %s: they stand apart", name, other))
		}
		if matching(rule.never, imported) != "" {
			problems = append(problems, fmt.Sprintf("%s imports %s: it is handed what it needs of that", name, imported))
		}
	}
	for _, dep := range p.Deps {
		if matching(rule.unlinked, dep) != "" {
			problems = append(problems, fmt.Sprintf("%s links %s: find by what with `go list -deps`", name, strings.TrimPrefix(dep, module)))
		}
	}
	return problems
}

// matching returns the pattern that importPath fits, or "".
func matching(patterns []string, importPath string) string {
	importPath = strings.TrimPrefix(importPath, module)
	for _, pattern := range patterns {
		base, below := strings.CutSuffix(pattern, "/...")
		if importPath == base || below && strings.HasPrefix(importPath, base+"/") {
			return pattern
		}
	}
	return ""
}

// TestImportRulesCatch breaks each rule once.
func TestImportRulesCatch(t *testing.T) {
	good := func() []listed {
		return []listed{
			{ImportPath: module + "pkg/provider", Imports: []string{"net/url"}},
			{ImportPath: module + "pkg/rules", Imports: []string{"strings", "go.yaml.in/yaml/v3"}},
			{ImportPath: module + "pkg/api", Imports: []string{"net/netip"}},
			{ImportPath: module + "internal/token"},
			{ImportPath: module + "internal/cert"},
			{ImportPath: module + "internal/store", Imports: []string{module + "pkg/rules", module + "internal/cert"}},
			{ImportPath: module + "internal/join", Imports: []string{module + "pkg/rules", module + "internal/cert"}, Deps: []string{"os"}},
			{ImportPath: module + "internal/words"},
			{ImportPath: module + "internal/wait"},
			{ImportPath: module + "internal/release", Imports: []string{"embed"}},
			{ImportPath: module + "internal/owned", Imports: []string{"os"}},
			{ImportPath: module + "internal/cli", Imports: []string{"os", module + "internal/words"}},
			{ImportPath: module + "internal/authority", Imports: []string{module + "internal/store", "crypto/x509"}, Deps: []string{"os"}},
			{ImportPath: module + "internal/client", Imports: []string{"os", "net/http", module + "pkg/api"}},
			{ImportPath: module + "internal/client/agent", Imports: []string{module + "internal/client"}},
			{ImportPath: module + "internal/admin", Imports: []string{module + "internal/store"}},
			{ImportPath: module + "internal/ctl", Imports: []string{module + "internal/cli", module + "internal/admin"}},
			{ImportPath: module + "internal/ctl/authorities", Imports: []string{module + "internal/ctl"}},
			{ImportPath: module + "internal/ctl/hosts", Imports: []string{module + "internal/ctl"}},
			{ImportPath: module + "internal/ctl/joins", Imports: []string{module + "internal/ctl"}},
			{ImportPath: module + "internal/ctl/resources", Imports: []string{module + "internal/ctl"}},
			{ImportPath: module + "internal/ctl/service", Imports: []string{module + "internal/ctl"}},
			{ImportPath: module + "cmd/gatepass", Imports: []string{module + "internal/client/agent"}},
			{ImportPath: module + "functions/join", Deps: []string{module + "internal/dynamo"}},
			{ImportPath: module + "internal/dynamo", Imports: []string{"github.com/aws/aws-sdk-go-v2/service/dynamodb", module + "internal/store"}},
			{ImportPath: module + "internal/sqlite", Imports: []string{"os", module + "internal/store"}},
		}
	}
	if problems := breaches(importRules, good()); len(problems) > 0 {
		t.Fatalf("imports as they should be: %v", problems)
	}
	tests := []struct{ name, of, imports, links, want string }{
		{name: "one part imports another", of: "pkg/rules", imports: module + "internal/token", want: "pkg/rules imports internal/token"},
		{name: "a part imports the use case", of: "internal/cert", imports: module + "internal/join", want: "internal/cert imports internal/join"},
		{name: "the table of CIs imports a part", of: "pkg/provider", imports: module + "pkg/api", want: "pkg/provider imports pkg/api"},
		{name: "a part does HTTP", of: "internal/token", imports: "net/http", want: "internal/token imports net/http"},
		{name: "a part runs programs", of: "pkg/api", imports: "os/exec", want: "pkg/api imports os/exec"},
		{name: "what is stored imports the use case", of: "internal/store", imports: module + "internal/join", want: "internal/store imports internal/join"},
		{name: "the use case reads files", of: "internal/join", imports: "os", want: "internal/join imports os"},
		{name: "the use case imports an adapter", of: "internal/join", imports: module + "internal/dynamo", want: "internal/join imports internal/dynamo"},
		{name: "the use case links AWS", of: "internal/join", links: "github.com/aws/smithy-go", want: "internal/join links github.com/aws/smithy-go"},
		{name: "a store links a user of it", of: "internal/sqlite", links: module + "internal/jwks", want: "internal/sqlite links"},
		{name: "a function links what administrators do", of: "functions/join", links: module + "internal/admin", want: "functions/join links"},
		{name: "an authority reads files", of: "internal/authority", imports: "os", want: "internal/authority imports os"},
		{name: "an authority imports the use case", of: "internal/authority", imports: module + "internal/join", want: "internal/authority imports internal/join"},
		{name: "commands of one noun use another's", of: "internal/ctl/hosts", imports: module + "internal/ctl/authorities", want: "internal/ctl/hosts imports internal/ctl/authorities"},
		{name: "what commands share imports commands", of: "internal/ctl", imports: module + "internal/ctl/joins", want: "internal/ctl imports"},
		{name: "a use case writes for people", of: "internal/admin", links: module + "internal/cli", want: "internal/admin links"},
		{name: "the client imports an adapter", of: "internal/client", imports: module + "internal/jwks", want: "internal/client imports internal/jwks"},
		{name: "a part of the client imports the rules", of: "internal/client/agent", imports: module + "pkg/rules", want: "internal/client/agent imports pkg/rules"},
		{name: "the command links AWS", of: "cmd/gatepass", links: "github.com/aws/aws-sdk-go-v2/aws", want: "cmd/gatepass links github.com/aws"},
		{name: "a program links what is made for tests", of: "functions/join", links: module + "internal/issuertest", want: "functions/join links internal/issuertest"},
		{name: "a program links package testing", of: "cmd/gatepass", links: "testing", want: "cmd/gatepass links testing"},
		{name: "a package was renamed", of: "internal/token", want: "there is no package internal/token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packages := good()
			i := slices.IndexFunc(packages, func(p listed) bool { return p.ImportPath == module+tt.of })
			switch p := &packages[i]; {
			case tt.imports != "":
				p.Imports = append(p.Imports, tt.imports)
			case tt.links != "":
				p.Deps = append(p.Deps, tt.links)
			default:
				p.ImportPath += "2"
			}
			problems := breaches(importRules, packages)
			if len(problems) != 1 || !strings.HasPrefix(problems[0], tt.want) {
				t.Errorf("got %q, want one line that begins with %q", problems, tt.want)
			}
		})
	}
}
