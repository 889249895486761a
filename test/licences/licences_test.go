// Package licences holds the licences of everything that is linked into the programs:
// each is known, each is one that allows what Gatepass does with it, and the two files that
// releases carry have the texts of all.
package licences

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

var update = flag.Bool("update", false, "write the files of licences instead of comparing with them")

// allowed are the licences, by SPDX id, under which a dependency may be linked into a
// program under Apache-2.0 with nothing to do but to carry their texts
// (docs/decisions/0031-releases.md). MPL-2.0 is not among them: it also wants the source offered.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "LicenseRef-public-domain"}

// known tells licences by words that only they have.
var known = []struct {
	id            string
	words, absent string // lower case, single spaces; absent: none of it, if not empty
}{
	{"Apache-2.0", "apache license, version 2.0", ""},
	{"Apache-2.0", "apache license version 2.0, january 2004", ""},
	{"BSD-2-Clause", "redistribution and use in source and binary forms, with or without modification, are permitted", "neither the name"},
	{"BSD-3-Clause", "neither the name", ""},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose", ""},
	{"MIT", "the above copyright notice and this permission notice shall be included", ""},
	{"MIT-0", "to permit persons to whom the software is furnished to do so. the software is provided", ""},
	{"LicenseRef-public-domain", "has been dedicated to the public domain", ""},
	// None of these is allowed, also not beside one that is.
	{"GPL", "gnu general public license", ""},
	{"LGPL", "gnu lesser general public license", ""},
	{"AGPL", "gnu affero general public license", ""},
	{"MPL-2.0", "mozilla public license", ""},
	{"EPL", "eclipse public license", ""},
	{"CDDL", "common development and distribution license", ""},
	{"SSPL", "server side public license", ""},
	{"BUSL", "business source license", ""},
	{"Commons-Clause", "commons clause", ""},
	{"CC-BY-NC", "noncommercial", ""},
}

// notLicences are files whose names say licence, and what they are instead.
var notLicences = map[string]string{
	"github.com/aws/aws-lambda-go/LICENSE-SUMMARY": "says which of its other two files holds for what",
	"modernc.org/memory/LICENSE-LOGO":              "the address of a picture",
	"modernc.org/sqlite/LICENSE-3RD-PARTY.md":      "repeats the licences of its dependencies, and those of its tests",
	"github.com/aws/aws-sdk-go-v2/NOTICE.txt":      "", // a notice: carried, and not told apart
	"github.com/aws/smithy-go/NOTICE":              "",
	"go.yaml.in/yaml/v3/NOTICE":                    "",
}

var licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|notice)`)

// programs are what the two files are of: what is linked into these packages, for the
// platforms of a release.
var programs = []struct {
	file, of string
	packages []string
}{
	{"THIRD_PARTY_CLIENT.txt", "gatepass", []string{"./cmd/gatepass"}},
	{"THIRD_PARTY.txt", "gatepassctl, and into the functions", []string{"./cmd/gatepassctl", "./functions/..."}},
}

// part is one licence file of one module.
type part struct {
	module, name, text string
	ids                []string
}

func TestLicences(t *testing.T) {
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	used := make(map[string]bool)
	for _, program := range programs {
		t.Run(program.file, func(t *testing.T) {
			parts := linked(t, root, program.packages)
			for _, p := range parts {
				used[p.module+"/"+p.name] = true
			}
			for _, problem := range problems(parts) {
				t.Error(problem)
			}
			own, err := os.ReadFile(filepath.Join(root, "LICENSE"))
			worldtest.Must(t, err)
			want, file := notice(program.of, string(own), parts), filepath.Join(root, program.file)
			if *update {
				worldtest.Must(t, os.WriteFile(file, want, 0o644))
			}
			got, err := os.ReadFile(file)
			worldtest.Must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what is linked: read the licence of each dependency that is new, then run go test ./test/licences -update; listed now and not there:\n%s",
					program.file, strings.Join(newLines(table(parts), string(got)), "\n"))
			}
		})
	}
	for file := range notLicences {
		if !used[file] {
			t.Errorf("%s is excepted, and is not linked", file)
		}
	}
}

// What must not be linked is seen, whatever stands beside it.
func TestLicencesThatAreRefused(t *testing.T) {
	const mit = "The above copyright notice and this permission notice\nshall be included in all copies."
	for _, test := range []struct {
		name, file, text, want string
	}{
		{"allowed", "LICENSE", mit, ""},
		{"allowed, in a comment", "LICENSE", "// The above copyright notice and this\n// permission notice shall be included", ""},
		{"copyleft", "COPYING", "GNU GENERAL PUBLIC LICENSE\n   Version 3", "a is under GPL (COPYING)"},
		{"of files", "LICENSE", "Mozilla Public License Version 2.0", "a is under MPL-2.0 (LICENSE)"},
		{"one of two", "LICENSE", mit + "\nGNU Affero General\n Public License", "a is under AGPL (LICENSE)"},
		{"with a condition added", "LICENSE", "\"Commons Clause\" License Condition v1.0\n" + mit, "a is under Commons-Clause (LICENSE)"},
		{"not known", "LICENSE", "Do as I say.", "a: LICENSE is not a licence that this test knows"},
		{"empty", "LICENSE", "", "a: LICENSE is not a licence that this test knows"},
		{"none", "", "", "a has no licence file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(problems([]part{{"a", test.file, test.text, identify(test.text)}}), "\n")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("%q, and not %q", got, test.want)
			}
		})
	}
}

// problems are the parts that may not be linked.
func problems(parts []part) (all []string) {
	licensed := make(map[string]bool)
	for _, p := range parts {
		licensed[p.module] = licensed[p.module] || len(p.ids) > 0
		for _, id := range p.ids {
			if !slices.Contains(allowed, id) {
				all = append(all, fmt.Sprintf("%s is under %s (%s), which is not one of %s", p.module, id, p.name, strings.Join(allowed, ", ")))
			}
		}
		if _, excepted := notLicences[p.module+"/"+p.name]; len(p.ids) == 0 && !excepted && p.name != "" {
			all = append(all, fmt.Sprintf("%s: %s is not a licence that this test knows: read it", p.module, p.name))
		}
	}
	for _, module := range slices.Sorted(maps.Keys(licensed)) {
		if !licensed[module] {
			all = append(all, module+" has no licence file")
		}
	}
	return all
}

// linked finds the licences of the modules whose packages are linked: in the folder of
// each package, and in those above it up to the module's own.
func linked(t *testing.T, root string, packages []string) []part {
	t.Helper()
	found := map[string]part{}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"} {
		goos, goarch, _ := strings.Cut(platform, "/")
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-json=Dir,Standard,Module"}, packages...)...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
		out, err := cmd.Output()
		worldtest.Must(t, err)
		for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
			var p struct {
				Dir      string
				Standard bool
				Module   *struct {
					Path, Dir string
					Main      bool
				}
			}
			worldtest.Must(t, d.Decode(&p))
			if p.Standard || p.Module == nil || p.Module.Main {
				continue
			}
			found[p.Module.Path] = part{module: p.Module.Path} // in case that it has none
			for dir := p.Dir; len(dir) >= len(p.Module.Dir); dir = filepath.Dir(dir) {
				add(t, found, p.Module.Path, p.Module.Dir, dir)
			}
		}
	}
	goroot := strings.TrimSpace(worldtest.Output(t, "go", "env", "GOROOT"))
	add(t, found, "Go's standard library", goroot, goroot)
	return slices.SortedFunc(maps.Values(found), func(a, b part) int {
		return cmp.Or(strings.Compare(a.module, b.module), strings.Compare(a.name, b.name))
	})
}

// add reads the licence files of a folder of a module.
func add(t *testing.T, found map[string]part, module, root, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	worldtest.Must(t, err)
	for _, entry := range entries {
		if !licenceFile.MatchString(entry.Name()) || !entry.Type().IsRegular() || strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		worldtest.Must(t, err)
		name, err := filepath.Rel(root, filepath.Join(dir, entry.Name()))
		worldtest.Must(t, err)
		text := strings.ReplaceAll(string(raw), "\r\n", "\n")
		p := part{module: module, name: name, text: strings.Trim(text, "\n") + "\n"}
		if _, excepted := notLicences[module+"/"+name]; !excepted {
			p.ids = identify(text)
		}
		found[module+"/"+name] = p
	}
}

// identify lists the licences that a text has.
func identify(text string) (ids []string) {
	text = flat(text)
	for _, k := range known {
		if strings.Contains(text, k.words) && (k.absent == "" || !strings.Contains(text, k.absent)) && !slices.Contains(ids, k.id) {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// flat is a text in lower case, with single spaces, and without the marks of comments.
func flat(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(" \t\n\f*/>", r) }), " ")
}

// table says the licences of each module, a line each.
func table(parts []part) string {
	ids := make(map[string][]string)
	for _, p := range parts {
		for _, id := range p.ids {
			if !slices.Contains(ids[p.module], id) {
				ids[p.module] = append(ids[p.module], id)
			}
		}
	}
	var b strings.Builder
	for _, module := range slices.Sorted(maps.Keys(ids)) {
		fmt.Fprintf(&b, "%-60s %s\n", module, strings.Join(ids[module], " AND "))
	}
	return b.String()
}

// notice is the file that goes with the programs. A text that several modules have is in it
// once, and one that is our own licence, which goes along too, is not repeated.
func notice(of, own string, parts []part) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "What is linked into %s, and under which licences (SPDX).\nThe texts follow. Made by: go test ./test/licences -update\n\n%s", of, table(parts))
	var order []string
	from := make(map[string][]string)
	texts := make(map[string]string)
	for _, p := range parts {
		if notLicences[p.module+"/"+p.name] != "" || p.text == "" {
			continue
		}
		key := flat(p.text)
		if from[key] == nil {
			order, texts[key] = append(order, key), p.text
		}
		from[key] = append(from[key], p.module+", "+p.name)
	}
	for _, key := range order {
		if strings.HasPrefix(flat(own), key) {
			texts[key] = "The text is that of the file LICENSE, which goes with this one.\n"
		}
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s", strings.Repeat("=", 80), strings.Join(from[key], "\n"), texts[key])
	}
	return b.Bytes()
}

// newLines are the lines of one text that another lacks.
func newLines(text, other string) (lines []string) {
	for line := range strings.Lines(text) {
		if !strings.Contains(other, line) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}
