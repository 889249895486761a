package circle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const orb = `
version: 2.1
executors:
  default: {docker: [{image: a}]}
commands:
  say:
    parameters:
      word: {type: string}
      loud: {type: boolean, default: false}
      how: {type: enum, enum: [up, down], default: up}
    steps:
      - run:
          name: say <<parameters.word>>
          environment: {WORD: << parameters.word >>}
          command: echo "$WORD" \<< <<parameters.how>>
      - when: {condition: <<parameters.loud>>, steps: [run: echo loud]}
      - unless: {condition: <<parameters.loud>>, steps: [run: echo soft]}
jobs:
  around:
    parameters:
      before: {type: string, default: first}
      executor: {type: executor, default: default}
      steps: {type: steps}
    executor: <<parameters.executor>>
    steps:
      - say: {word: <<parameters.before>>}
      - steps: <<parameters.steps>>
      - run: {command: echo last, when: always}
`

func parse(t *testing.T, config string) ([]Job, error) {
	t.Helper()
	c, err := Parse([]byte("version: 2.1\norbs: {o: here}\n"+config), func(string) ([]byte, error) { return []byte(orb), nil })
	if err != nil {
		return nil, err
	}
	return c.Jobs()
}

func TestExpand(t *testing.T) {
	_, err := parse(t, `
commands:
  say: {steps: [run: echo mine]}
workflows:
  main:
    jobs:
      - o/around:
          name: one
          context: [a, b]
          before: "<<parameters.how>> stays"
          steps: [say, o/say: {word: "two words", loud: true, how: down}]
`)
	if err == nil || !strings.Contains(err.Error(), "not declared") {
		t.Errorf("a parameter where there is none: got %v", err)
	}
	jobs, err := parse(t, `
commands:
  say: {steps: [run: echo mine]}
workflows:
  main:
    jobs:
      - o/around:
          name: one
          context: [a, b]
          before: 'a \<<parameters.how>> b'
          steps: [say, o/say: {word: "two words", loud: true, how: down}]
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, step := range jobs[0].Steps {
		got = append(got, step.Name+"|"+step.Command+"|"+step.Environment["WORD"]+"|"+step.When)
	}
	want := []string{
		`say a <<parameters.how>> b|echo "$WORD" << up|a <<parameters.how>> b|on_success`,
		"echo soft|echo soft||on_success",
		"echo mine|echo mine||on_success", // the configuration's say, not the orb's
		`say two words|echo "$WORD" << down|two words|on_success`,
		"echo loud|echo loud||on_success",
		"run|echo last||always",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, jobs[0].Contexts); diff != "" || jobs[0].Name != "one" {
		t.Errorf("name %s, contexts %s", jobs[0].Name, diff)
	}
}

func TestRefuses(t *testing.T) {
	job := func(arguments string) string {
		return "workflows: {main: {jobs: [o/around: {" + arguments + "}]}}\n"
	}
	local := func(steps string) string {
		return "jobs: {a: {docker: [{image: b}], steps: [" + steps + "]}}\nworkflows: {main: {jobs: [a]}}\n"
	}
	tests := []struct{ name, config, want string }{
		{"an unknown job", "workflows: {main: {jobs: [o/no]}}", "there is no o/no in jobs"},
		{"an unknown orb", "workflows: {main: {jobs: [p/no]}}", "there is no orb p"},
		{"no jobs", "workflows: {main: {jobs: []}}", "no workflow has a job"},
		{"an unknown parameter", job("steps: [checkout], befor: x"), "there is no parameter befor"},
		{"a missing parameter", job("before: x"), "the parameter steps is missing"},
		{"a key that is the workflow's", job("steps: [checkout], type: approval"), "type is the workflow's own key"},
		{"a number for a string", job("steps: [checkout], before: 7"), "7 is no string"},
		{"an unknown executor", job("steps: [checkout], executor: o/no"), "there is no o/no in executors"},
		{"an unknown command", local("o/no"), "there is no o/no in commands"},
		{"an orb's command without its name", local("say"), "there is no say in commands"},
		{"a string for a boolean", local("o/say: {word: a, loud: 'true'}"), "true is no boolean"},
		{"none of an enum", local("o/say: {word: a, how: left}"), "left is none of"},
		{"a key of run", local("run: {command: a, background: true}"), "background is not known here"},
		{"a run without a command", local("run: {name: a}"), "there is no command"},
		{"when from nowhere", local("run: {command: a, when: sometimes}"), "when is sometimes"},
		{"<< that is no parameter", local("run: 'cat <<E'"), "is no parameter"},
		{"a job that runs nowhere", "jobs: {a: {steps: [checkout]}}\nworkflows: {main: {jobs: [a]}}", "it has 0 of executor"},
		{"a key of the configuration", "setup: true\nworkflows: {main: {jobs: [o/around]}}", "setup is not known here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parse(t, tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// A step has the variables of the job and those that BASH_ENV exports; after a failure only
// the steps run that say so.
func TestRun(t *testing.T) {
	jobs, err := parse(t, `
jobs:
  a:
    docker: [{image: b}]
    environment: {FROM_JOB: job}
    steps:
      - checkout
      - run: echo "export LATER='it is later'" >> "$BASH_ENV"
      - run: echo "$LATER in $(cat file), $FROM_JOB, $FROM_MACHINE"
      - run: "false | cat"
      - run: echo not reached
      - run: {command: echo always, when: always}
      - run: {command: echo on failure, when: on_fail}
workflows: {main: {jobs: [a]}}
`)
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{
		Folder: t.TempDir(), Caches: t.TempDir(), Environment: []string{"PATH=" + os.Getenv("PATH"), "FROM_MACHINE=machine"},
		Checkout: func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), []byte("file"), 0o600) },
	}
	ran, err := r.Run(t.Context(), jobs[0])
	if err == nil || !strings.Contains(err.Error(), "step 4, false | cat: exit status 1") {
		t.Errorf("got %v", err)
	}
	var got []string
	for _, step := range ran {
		got = append(got, step.Output)
	}
	want := []string{"", "", "it is later in file, job, machine\n", "", "always\n", "on failure\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	jobs[0].Steps = []Step{{Kind: "checkout"}}
	r.Checkout = func(string) error { return errors.New("no repository") }
	if _, err := r.Run(t.Context(), jobs[0]); err == nil {
		t.Error("a failed checkout is no failure")
	}
}
