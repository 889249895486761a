package test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDocs(t *testing.T) {
	tree := os.DirFS("..")
	for name, check := range docChecks {
		t.Run(name, func(t *testing.T) {
			checked, problems, err := check(tree)
			if err != nil {
				t.Fatal(err)
			}
			if checked == 0 {
				t.Error("there was nothing to check")
			}
			for _, problem := range problems {
				t.Error(problem)
			}
		})
	}
}

// docChecks each return how much they looked at, and a line for each thing wrong.
var docChecks = map[string]func(fs.FS) (checked int, problems []string, err error){
	"links":   checkLinks,
	"paths":   checkPaths,
	"targets": checkTargets,
	"tests":   checkTests,
	"threats": checkThreats,
}

var (
	fence      = regexp.MustCompile("(?ms)^ *(```+|~~~+)[^\n]*\n(.*?)^ *(```+|~~~+) *$")
	codeSpan   = regexp.MustCompile("`[^`\n]+`")
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	linkTarget = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s+".*")?$`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*#*$`)
	anchorHTML = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	scheme     = regexp.MustCompile(`^(?:[a-z][a-z0-9+.-]*:|//)`)

	docsPath = regexp.MustCompile(`(?:^|[^A-Za-z0-9_./-])(docs/[A-Za-z0-9_./-]*[A-Za-z0-9_])`)

	makeCommand = regexp.MustCompile(`(?m)(?:^|&&|;|\|)[ \t]*(?:\$ )?(?:[A-Z_]+=\S+ )*make ((?:[a-z][a-z-]*|[A-Z]+=\S+)(?: (?:[a-z][a-z-]*|[A-Z]+=\S+))*)`)
	testName    = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`")
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
	makeTarget  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):(?:[^=]|$)`)
)

// checkLinks follows every link of a Markdown file to a file or heading of the repository.
func checkLinks(tree fs.FS) (checked int, problems []string, err error) {
	err = eachFile(tree, []string{".md"}, func(name, text string) error {
		prose := codeSpan.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
		links := slices.Concat(inlineLink.FindAllStringSubmatch(prose, -1), linkTarget.FindAllStringSubmatch(prose, -1))
		for _, link := range links {
			if scheme.MatchString(link[1]) {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(link[1], "#")
			switch {
			case file == "":
				file = name
			case strings.HasPrefix(file, "/"):
				file = path.Clean(file[1:])
			default:
				file = path.Join(path.Dir(name), file)
			}
			if _, err := fs.Stat(tree, file); err != nil {
				problems = append(problems, fmt.Sprintf("%s links to %s, and there is no %s", name, link[1], file))
				continue
			}
			if anchor == "" || path.Ext(file) != ".md" {
				continue
			}
			target, err := fs.ReadFile(tree, file)
			if err != nil {
				return err
			}
			if !slices.Contains(anchors(string(target)), anchor) {
				problems = append(problems, fmt.Sprintf("%s links to %s, and %s has no such heading", name, link[1], file))
			}
		}
		return nil
	})
	return checked, problems, err
}

// anchors returns the names by which a Markdown file's headings can be linked to, as
// GitHub and Bitbucket's renderers make them: lower case, spaces to dashes, of the
// rest only letters, digits, - and _ kept; a repeated one gets -1, -2 and so on.
func anchors(text string) (names []string) {
	seen := make(map[string]int)
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		title := linkText.ReplaceAllString(m[1], "$1")
		var slug strings.Builder
		for _, r := range strings.ToLower(title) {
			switch {
			case r == ' ':
				slug.WriteByte('-')
			case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r > 127 && r != '’' && r != '→' && r != '…':
				slug.WriteRune(r)
			}
		}
		name := slug.String()
		if n := seen[name]; n > 0 {
			names = append(names, fmt.Sprintf("%s-%d", name, n))
		} else {
			names = append(names, name)
		}
		seen[name]++
	}
	for _, m := range anchorHTML.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// checkPaths looks up every docs/ path that source, scripts and configuration name: a
// message that sends its reader to a page must not send them nowhere.
func checkPaths(tree fs.FS) (checked int, problems []string, err error) {
	err = eachFile(tree, []string{".go", ".sh", ".yaml", ".yml", "Makefile", "Dockerfile"}, func(name, text string) error {
		if name == "test/docs_test.go" {
			return nil // this file, whose examples are wrong on purpose
		}
		for i, line := range strings.Split(text, "\n") {
			for _, m := range docsPath.FindAllStringSubmatch(line, -1) {
				checked++
				if _, err := fs.Stat(tree, path.Clean(m[1])); err != nil {
					problems = append(problems, fmt.Sprintf("%s:%d names %s, which does not exist", name, i+1, m[1]))
				}
			}
		}
		return nil
	})
	return checked, problems, err
}

// checkTargets looks up every `make X` that documentation shows as code.
func checkTargets(tree fs.FS) (checked int, problems []string, err error) {
	makefile, err := fs.ReadFile(tree, "Makefile")
	if err != nil {
		return 0, nil, err
	}
	targets := make(map[string]bool)
	for _, m := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	err = eachFile(tree, []string{".md"}, func(name, text string) error {
		var code []string
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			code = append(code, m[2])
		}
		for _, span := range codeSpan.FindAllString(fence.ReplaceAllString(text, ""), -1) {
			code = append(code, strings.Trim(span, "`"))
		}
		for _, m := range makeCommand.FindAllStringSubmatch(strings.Join(code, "\n"), -1) {
			for word := range strings.FieldsSeq(m[1]) {
				if strings.Contains(word, "=") {
					continue
				}
				checked++
				if !targets[word] {
					problems = append(problems, fmt.Sprintf("%s says `make %s`, which is no target of the Makefile", name, word))
				}
			}
		}
		return nil
	})
	return checked, problems, err
}

// checkTests looks up every test that documentation names as a proof.
func checkTests(tree fs.FS) (checked int, problems []string, err error) {
	there := make(map[string]bool)
	err = eachFile(tree, []string{"_test.go"}, func(_, text string) error {
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			there[m[1]] = true
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	err = eachFile(tree, []string{".md"}, func(name, text string) error {
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			checked++
			if !there[m[1]] {
				problems = append(problems, fmt.Sprintf("%s names %s, and there is no such test", name, m[1]))
			}
		}
		return nil
	})
	return checked, problems, err
}

// checkThreats looks for a test in each row of the threat model's tables, which no empty line breaks.
func checkThreats(tree fs.FS) (checked int, problems []string, err error) {
	text, err := fs.ReadFile(tree, "docs/threat-model.md")
	if err != nil {
		return 0, nil, err
	}
	_, tables, _ := strings.Cut(string(text), "\n## The tables\n")
	before := ""
	for line := range strings.Lines(tables) {
		row, head := strings.HasPrefix(line, "| "), strings.HasPrefix(line, "| threat |")
		if row && !head {
			checked++
			cells := strings.Split(strings.TrimRight(line, "|\n "), " | ")
			if len(cells) != 3 || !testName.MatchString(cells[2]) || strings.TrimSpace(before) == "" {
				problems = append(problems, "docs/threat-model.md: this row has no test, or is not in a table of three columns: "+line)
			}
		}
		before = line
	}
	return checked, problems, nil
}

// eachFile visits the repository's own files that end in one of ends.
func eachFile(tree fs.FS, ends []string, visit func(name, text string) error) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", ".tools", ".aws-sam", "bin", "dist", "testdata", "node_modules":
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(name, end) }) {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		return visit(name, string(text))
	})
}

// TestDocChecksCatch gives each check something right and something wrong.
func TestDocChecksCatch(t *testing.T) {
	const page = "# Title\n## What it's `for`\n## Again\n## Again\n"
	tests := []struct {
		name, check, file, text string
		checked                 int
		want                    string // "" is no problem
	}{
		{"a link to a page", "links", "README.md", "[a](docs/page.md)", 1, ""},
		{"a link beside", "links", "docs/other.md", "[a](page.md) and [up](../Makefile)", 2, ""},
		{"a link from the root", "links", "docs/other.md", "[a](/docs/page.md)", 1, ""},
		{"a link elsewhere", "links", "README.md", "[a](https://example.com/x.md) [b](mailto:a@example.com)", 0, ""},
		{"a link in code", "links", "README.md", "```\n[a](no.md)\n```\n`[b](no.md)`", 0, ""},
		{"a link to nothing", "links", "README.md", "[a](docs/no.md)", 1, "there is no docs/no.md"},
		{"an image of nothing", "links", "README.md", "![a](docs/no.svg \"title\")", 1, "there is no docs/no.svg"},
		{"a link out of the repository", "links", "README.md", "[a](../x.md)", 1, "there is no ../x.md"},
		{"a reference to nothing", "links", "README.md", "[a][b]\n\n[b]: docs/no.md", 1, "there is no docs/no.md"},
		{"a heading", "links", "README.md", "[a](docs/page.md#what-its-for) [b](docs/page.md#again-1)", 2, ""},
		{"no such heading", "links", "README.md", "[a](docs/page.md#again-2)", 1, "has no such heading"},
		{"no such heading here", "links", "README.md", "# Here\n[a](#there)", 1, "has no such heading"},

		{"a page in a comment", "paths", "a.go", "// See docs/page.md.\n", 1, ""},
		{"a page in a string", "paths", "a.go", `const a = "docs/page.md#again"`, 1, ""},
		{"another site's docs", "paths", "a.go", "// https://example.com/docs/no.md\n", 0, ""},
		{"no page in a comment", "paths", "a.go", "package a\n// See docs/no.md.\n", 1, "a.go:2 names docs/no.md"},
		{"no page in a script", "paths", "x/a.sh", "echo 'see docs/no.md'", 1, "x/a.sh:1 names docs/no.md"},

		{"a target", "targets", "README.md", "Run `make test`:\n```sh\n$ make test\ncd x && make lint FUZZTIME=1s test\n```", 4, ""},
		{"prose", "targets", "README.md", "make sure that it makes sense", 0, ""},
		{"no target", "targets", "README.md", "`make tests`", 1, "`make tests`"},
		{"no target, second", "targets", "README.md", "```\nmake FUZZTIME=1s test tests\n```", 2, "`make tests`"},
		{"a test", "tests", "docs/other.md", "| a | `TestPage` |", 1, ""},
		{"no test", "tests", "docs/other.md", "`TestPages`", 1, "names TestPages"},

		{"a threat", "threats", "docs/threat-model.md", "x\n## The tables\n\n| threat | a | b |\n|---|---|---|\n| a | b | `TestPage` |\n", 1, ""},
		{"a threat without a test", "threats", "docs/threat-model.md", "x\n## The tables\n\n| threat | a | b |\n|---|---|---|\n| a | b | c |\n", 1, "| a | b | c |"},
		{"a threat outside its table", "threats", "docs/threat-model.md", "x\n## The tables\n\n| threat | a | b |\n|---|---|---|\n\n| a | b | `TestPage` |\n", 1, "not in a table"},

		{"no target is a variable", "targets", "README.md", "`make time`", 1, "`make time`"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstest.MapFS{
				"docs/page.md": {Data: []byte(page)},
				"Makefile":     {Data: []byte("time := 1\ntest: lint ## run\nlint:\n\ttrue\n")},
				"a_test.go":    {Data: []byte("package a\n\nfunc TestPage(t *testing.T) {}\n")},
				tt.file:        {Data: []byte(tt.text)},
			}
			checked, problems, err := docChecks[tt.check](tree)
			if err != nil {
				t.Fatal(err)
			}
			if checked != tt.checked {
				t.Errorf("looked at %d things, want %d", checked, tt.checked)
			}
			switch {
			case tt.want == "" && len(problems) > 0:
				t.Errorf("got %q, want no problem", problems)
			case tt.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], tt.want)):
				t.Errorf("got %q, want one with %q", problems, tt.want)
			}
		})
	}
}
