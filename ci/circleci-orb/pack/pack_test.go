package main

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func folder(files map[string]string) fstest.MapFS {
	src := make(fstest.MapFS)
	for name, text := range files {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return src
}

// The bytes that the CLI of CircleCI gives for the same folders.
func TestPack(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{
			name: "keys are sorted, files are entries, indentation is four",
			files: map[string]string{
				"@orb.yml":           "version: 2.1\ndescription: An orb\n",
				"jobs/build.yml":     "docker:\n  - image: cimg/base:2024.01\nsteps:\n  - checkout\n",
				"executors/node.yml": "machine: true # the larger one\n",
			},
			want: `description: An orb
executors:
    node:
        machine: true
jobs:
    build:
        docker:
            - image: cimg/base:2024.01
        steps:
            - checkout
version: 2.1
`,
		},
		{
			name: "a script is included as a literal block",
			files: map[string]string{
				"@orb.yml":           "version: 2.1\n",
				"commands/greet.yml": "steps:\n  - run: << include(scripts/greet.sh) >>\n",
				"scripts/greet.sh":   "echo hello\necho world\n",
			},
			want: `commands:
    greet:
        steps:
            - run: |
                echo hello
                echo world
version: 2.1
`,
		},
		{
			name: "strings that look like something else stay strings",
			files: map[string]string{
				"@orb.yml": "version: 2.1\n",
				"commands/vpn.yml": "parameters:\n  label: {type: string, default: \"on\"}\n  tag: {type: string, default: \"1.10\"}\n" +
					"  empty: {type: string, default: ''}\n",
			},
			want: `commands:
    vpn:
        parameters:
            empty:
                default: ""
                type: string
            label:
                default: "on"
                type: string
            tag:
                default: "1.10"
                type: string
version: 2.1
`,
		},
		{
			name: "entries of the root file stay, and other files are none",
			files: map[string]string{
				"@orb.yml":            "version: 2.1\ncommands:\n  here:\n    steps: [checkout]\n",
				"commands/there.yaml": "steps: [checkout]\n",
				"commands/README.md":  "# Commands\n",
				"commands/.draft.yml": "steps: []\n",
			},
			want: `commands:
    here:
        steps:
            - checkout
    there:
        steps:
            - checkout
version: 2.1
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pack(folder(tt.files), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPackReplaces(t *testing.T) {
	src := folder(map[string]string{
		"@orb.yml":            "version: 2.1\n",
		"commands/a.yml":      "parameters: {v: {default: <<include(release/version.txt)>>}}\n",
		"release/version.txt": "1.0.0",
	})
	got, err := pack(src, map[string][]byte{"release/version.txt": []byte("2.0.0")})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), "default: 2.0.0\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestPackRefuses(t *testing.T) {
	tests := []struct {
		name, file, text string
		replace          string
		want             string
	}{
		{name: "no root file", file: "commands/a.yml", text: "steps: []", want: "@orb.yml"},
		{name: "an include of nothing", file: "@orb.yml", text: "a: <<include(no.sh)>>", want: "no.sh"},
		{name: "an include that leads out", file: "@orb.yml", text: "a: <<include(../x.sh)>>", want: "../x.sh"},
		{name: "an include within a value", file: "@orb.yml", text: "a: run <<include(ok.sh)>>", want: "must be the whole value"},
		{name: "two includes", file: "@orb.yml", text: "a: <<include(ok.sh)>><<include(ok.sh)>>", want: "must be the whole value"},
		{name: "a script with a parameter", file: "@orb.yml", text: "a: <<include(heredoc.sh)>>", want: "would be taken for a parameter"},
		{name: "a list", file: "@orb.yml", text: "- a", want: "@orb.yml"},
		{name: "a key twice", file: "@orb.yml", text: "a: 1\na: 2", want: "already defined"},
		{name: "two documents", file: "@orb.yml", text: "a: 1\n---\nb: 1", want: "more than one document"},
		{name: "a folder in a folder", file: "commands/x/a.yml", text: "a: 1", want: "folders in folders"},
		{name: "a replacement of nothing", file: "@orb.yml", text: "a: 1", replace: "version.txt", want: "version.txt: nothing includes it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"ok.sh": "true\n", "heredoc.sh": "cat <<E\nE\n"}
			if tt.name != "no root file" {
				files["@orb.yml"] = "version: 2.1\n"
			}
			files[tt.file] = tt.text
			var replace map[string][]byte
			if tt.replace != "" {
				replace = map[string][]byte{tt.replace: nil}
			}
			_, err := pack(folder(files), replace)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// The packed orb that is committed is what its source gives.
func TestCommittedOrb(t *testing.T) {
	want, err := pack(os.DirFS("../src"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../orb.yml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("ci/circleci-orb/orb.yml is not what its source gives; run make generate:\n%s", diff)
	}
}
