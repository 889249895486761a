package tests

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/ci/circleci-orb/tests/circle"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// source is the orb as it is written: the root file, and the others by their paths.
type source struct {
	root    map[string]any
	parts   map[string]map[string]any // commands/join.yml and so on
	scripts map[string]string         // by name
	client  string                    // the version that the orb installs
}

func readSource(t *testing.T) source {
	t.Helper()
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	dir := filepath.Join(root, "ci/circleci-orb/src")
	s := source{parts: make(map[string]map[string]any), scripts: make(map[string]string)}
	for _, pattern := range []string{"@orb.yml", "*/*.yml", "scripts/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		worldtest.Must(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			worldtest.Must(t, err)
			name, err := filepath.Rel(dir, file)
			worldtest.Must(t, err)
			if pattern == "scripts/*" {
				s.scripts[filepath.Base(name)] = string(text)
				continue
			}
			var part map[string]any
			worldtest.Must(t, yaml.Unmarshal(text, &part))
			if s.parts[name] = part; name == "@orb.yml" {
				s.root = part
			}
		}
	}
	client, err := os.ReadFile(filepath.Join(dir, "release/version.txt"))
	worldtest.Must(t, err)
	if s.client = string(client); strings.TrimSpace(s.client) != s.client {
		t.Error("version.txt has white space in it, which would be in the parameter's default")
	}
	return s
}

// of returns the parts of the kinds, by name.
func (s source) of(kinds ...string) map[string]map[string]any {
	found := make(map[string]map[string]any)
	for name, part := range s.parts {
		if slices.Contains(kinds, filepath.Dir(name)) {
			found[name] = part
		}
	}
	return found
}

// runs returns the run steps of a part, those within conditions too.
func runs(value any) (found []any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			found = append(found, runs(item)...)
		}
	case map[string]any:
		for key, item := range v {
			if key == "run" {
				found = append(found, item)
				continue
			}
			found = append(found, runs(item)...)
		}
	}
	return found
}

func text(value any) string { s, _ := value.(string); return strings.TrimSpace(s) }

// reviewRules are those of CircleCI's orb-tools, RC001 to RC012, but RC006 and RC007,
// which ask the network whether two addresses answer. They return what breaks them.
var reviewRules = map[string]func(source) []string{
	"RC001 a source_url": func(s source) []string {
		display, _ := s.root["display"].(map[string]any)
		return unless(strings.HasPrefix(text(display["source_url"]), "https://"), "@orb.yml has no display.source_url")
	},
	"RC002 descriptions": func(s source) (broken []string) {
		for name, part := range s.of("commands", "jobs", "executors", "examples") {
			broken = append(broken, unless(text(part["description"]) != "", name+" has no description")...)
		}
		return broken
	},
	"RC003 an example": func(s source) []string {
		return unless(len(s.of("examples")) > 0, "there are no examples")
	},
	"RC004 examples have names of their own": func(s source) (broken []string) {
		for name := range s.of("examples") {
			broken = append(broken, unless(!strings.Contains(filepath.Base(name), "example"), name+" is called example")...)
		}
		return broken
	},
	"RC005 a description of the orb": func(s source) []string {
		return unless(len(text(s.root["description"])) >= 64, "the orb's description has fewer than 64 characters")
	},
	"RC008 steps have names": func(s source) []string {
		return eachRun(s, func(run map[string]any) bool { return text(run["name"]) != "" }, "has a run step without a name")
	},
	"RC009 long commands are included": func(s source) []string {
		return eachRun(s, func(run map[string]any) bool {
			command := text(run["command"])
			return command != "" && (len(command) <= 64 || strings.HasPrefix(command, "<<include("))
		}, "has a long command in it")
	},
	"RC010 snake case": func(s source) (broken []string) {
		for name, part := range s.of("commands", "jobs", "executors", "examples") {
			parameters, _ := part["parameters"].(map[string]any)
			for _, word := range append(slices.Collect(maps.Keys(parameters)), strings.TrimSuffix(filepath.Base(name), ".yml")) {
				broken = append(broken, unless(snakeCase.MatchString(word), name+": "+word+" is not in snake case")...)
			}
		}
		return broken
	},
	"RC011 examples show the current major version": func(s source) (broken []string) {
		major, _, _ := strings.Cut(s.client, ".")
		for name, part := range s.of("examples") {
			usage, _ := part["usage"].(map[string]any)
			orbs, _ := usage["orbs"].(map[string]any)
			broken = append(broken, unless(strings.HasPrefix(text(orbs["gatepass"]), "gatepass-ci/gatepass@"+major+"."),
				fmt.Sprintf("%s shows %v, and not %s.x", name, orbs["gatepass"], major))...)
		}
		return broken
	},
	"RC012 cache keys without variables of the environment": func(s source) (broken []string) {
		for name, part := range s.of("commands", "jobs") {
			parameters, _ := part["parameters"].(map[string]any)
			for _, key := range cacheKey.FindAllString(dump(part), -1) {
				for _, m := range parameterIn.FindAllStringSubmatch(key, -1) {
					parameter, _ := parameters[m[1]].(map[string]any)
					broken = append(broken, unless(parameter["type"] == "string" && !strings.Contains(text(parameter["default"]), "$"),
						name+": the cache key has "+m[1]+", which may be the name of a variable")...)
				}
			}
		}
		return broken
	},
	// The rules of this orb itself.
	"parameters reach scripts by the environment alone": func(s source) []string {
		return eachRun(s, func(run map[string]any) bool { return !strings.Contains(text(run["command"]), "parameters.") }, "has a parameter in a command")
	},
	"no script has eval": func(s source) (broken []string) {
		for name, script := range s.scripts {
			broken = append(broken, unless(!evaluates.MatchString(script), name+" evaluates a string")...)
			broken = append(broken, unless(strings.Contains(script, "\nset -euo pipefail\n") && strings.Contains(script, "\numask 077\n"), name+" is not strict")...)
		}
		return broken
	},
	"functions of one name are the same": func(s source) (broken []string) {
		seen := make(map[string]string)
		for _, name := range slices.Sorted(maps.Keys(s.scripts)) {
			for _, m := range function.FindAllStringSubmatch(s.scripts[name], -1) {
				broken = append(broken, unless(cmp.Or(seen[m[1]], m[0]) == m[0], name+" has another "+m[1])...)
				seen[m[1]] = m[0]
			}
		}
		return broken
	},
	"parameters of jobs are not the workflow's keys": func(s source) (broken []string) {
		for name, part := range s.of("jobs") {
			parameters, _ := part["parameters"].(map[string]any)
			for _, key := range []string{"name", "context", "requires", "filters", "type", "matrix", "pre-steps", "post-steps"} {
				broken = append(broken, unless(parameters[key] == nil, name+": "+key+" would never reach the job")...)
			}
		}
		return broken
	},
	"parameters of one name have one type and default": func(s source) (broken []string) {
		seen := make(map[string]string)
		parts := s.of("commands", "jobs")
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			parameters, _ := parts[name]["parameters"].(map[string]any)
			for key, value := range parameters {
				parameter, _ := value.(map[string]any)
				what := fmt.Sprint(parameter["type"], parameter["default"], parameter["enum"])
				broken = append(broken, unless(cmp.Or(seen[key], what) == what, name+": "+key+" is not as elsewhere")...)
				seen[key] = what
			}
		}
		return broken
	},
}

var (
	snakeCase   = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	cacheKey    = regexp.MustCompile(`gatepass-orb-v1-.*`)
	parameterIn = regexp.MustCompile(`<<parameters\.(\w+)>>`)
	evaluates   = regexp.MustCompile(`(?m)\beval\b|\bsource\b|^\s*\. `)
	function    = regexp.MustCompile(`(?ms)^(\w+)\(\) \{.*?^\}$`)
)

func unless(holds bool, broken string) []string {
	if holds {
		return nil
	}
	return []string{broken}
}

func eachRun(s source, holds func(map[string]any) bool, broken string) (all []string) {
	for name, part := range s.of("commands", "jobs") {
		for _, run := range runs(part["steps"]) {
			object, ok := run.(map[string]any)
			all = append(all, unless(ok && holds(object), name+" "+broken)...)
		}
	}
	return all
}

func dump(value any) string {
	out, _ := yaml.Marshal(value)
	return string(out)
}

func TestReview(t *testing.T) {
	s := readSource(t)
	if len(s.scripts) == 0 || len(runs(s.parts["commands/install.yml"]["steps"])) == 0 {
		t.Fatal("there is nothing to review")
	}
	for name, rule := range reviewRules {
		t.Run(name, func(t *testing.T) {
			for _, broken := range rule(s) {
				t.Error(broken)
			}
		})
	}
}

// TestReviewCatches breaks each rule once.
func TestReviewCatches(t *testing.T) {
	step := func(run any) map[string]any { return map[string]any{"steps": []any{map[string]any{"run": run}}} }
	cached := map[string]any{
		"parameters": map[string]any{"home": map[string]any{"type": "env_var_name", "default": "HOME"}},
		"steps":      []any{map[string]any{"save_cache": map[string]any{"key": "gatepass-orb-v1-<<parameters.home>>"}}},
	}
	tests := []struct {
		rule string
		part string
		with map[string]any
	}{
		{"RC001 a source_url", "@orb.yml", map[string]any{}},
		{"RC002 descriptions", "jobs/a.yml", map[string]any{"description": " "}},
		{"RC003 an example", "", nil},
		{"RC004 examples have names of their own", "examples/my_example.yml", map[string]any{}},
		{"RC005 a description of the orb", "@orb.yml", map[string]any{"description": "An orb"}},
		{"RC008 steps have names", "commands/a.yml", step("true")},
		{"RC009 long commands are included", "commands/a.yml", step(map[string]any{"name": "a", "command": strings.Repeat("true;", 20)})},
		{"RC010 snake case", "jobs/my-job.yml", map[string]any{}},
		{"RC011 examples show the current major version", "examples/a.yml", map[string]any{"usage": map[string]any{"orbs": map[string]any{"gatepass": "gatepass-ci/gatepass@999.0.0"}}}},
		{"RC012 cache keys without variables of the environment", "commands/a.yml", cached},
		{"parameters reach scripts by the environment alone", "commands/a.yml", step(map[string]any{"command": "echo <<parameters.a>>"})},
		{"no script has eval", "scripts/a.sh", map[string]any{"text": "\nset -euo pipefail\numask 077\neval \"$1\"\n"}},
		{"functions of one name are the same", "scripts/a.sh", map[string]any{"text": "fail() {\n  true\n}\n"}},
		{"parameters of jobs are not the workflow's keys", "jobs/a.yml", map[string]any{"parameters": map[string]any{"type": map[string]any{"type": "string"}}}},
		{"parameters of one name have one type and default", "jobs/a.yml", map[string]any{"parameters": map[string]any{"server": map[string]any{"type": "boolean"}}}},
	}
	if len(tests) != len(reviewRules) {
		t.Errorf("%d rules are broken, of %d", len(tests), len(reviewRules))
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := readSource(t)
			switch {
			case tt.part == "":
				maps.DeleteFunc(s.parts, func(name string, _ map[string]any) bool { return filepath.Dir(name) == "examples" })
			case tt.part == "@orb.yml":
				s.root = tt.with
			case strings.HasPrefix(tt.part, "scripts/"):
				s.scripts["a.sh"] = text(tt.with["text"]) + "\n"
			default:
				s.parts[tt.part] = tt.with
			}
			if broken := reviewRules[tt.rule](s); len(broken) == 0 {
				t.Error("nothing is broken")
			}
		})
	}
}

// The usage of each example of the orb expands to steps that there are.
func TestExamples(t *testing.T) {
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	packed, err := os.ReadFile(filepath.Join(root, "ci/circleci-orb/orb.yml"))
	worldtest.Must(t, err)
	for name, example := range readSource(t).of("examples") {
		t.Run(name, func(t *testing.T) {
			usage, err := yaml.Marshal(example["usage"])
			worldtest.Must(t, err)
			config, err := circle.Parse(usage, func(string) ([]byte, error) { return packed, nil })
			worldtest.Must(t, err)
			jobs, err := config.Jobs()
			worldtest.Must(t, err)
			for _, job := range jobs {
				if len(job.Contexts) == 0 || len(job.Steps) < 3 {
					t.Errorf("%s has contexts %v and %d steps", job.Name, job.Contexts, len(job.Steps))
				}
			}
		})
	}
}
