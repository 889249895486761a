package circle

import (
	"errors"
	"fmt"
	"slices"
)

// Step is one step of a job, expanded.
type Step struct {
	Kind string // run, checkout, restore_cache or save_cache
	Name string

	// Of run.
	Command          string
	Environment      map[string]string
	When             string // on_success, on_fail or always
	WorkingDirectory string

	// Of the caches; {{ arch }} is still in the keys.
	Keys, Paths []string
}

// steps expands a list of steps: commands are replaced by theirs, and what a condition
// excludes is left out.
func (s scope) steps(value any) ([]Step, error) {
	if text, ok := value.(string); ok {
		replaced, err := s.substitute(text)
		if err != nil {
			return nil, err
		}
		value = replaced
	}
	if given, ok := value.(bound); ok {
		return given.scope.steps(given.value)
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("steps is no list but %v", value)
	}
	var all []Step
	for i, entry := range list {
		steps, err := s.step(entry)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		all = append(all, steps...)
	}
	return all, nil
}

func (s scope) step(entry any) ([]Step, error) {
	name, arguments, err := oneKey(entry)
	if err != nil {
		return nil, err
	}
	switch name {
	case "checkout":
		return []Step{{Kind: "checkout", Name: "Checkout code"}}, nil
	case "run":
		if command, ok := mapOf(entry)["run"].(string); ok {
			arguments = map[string]any{"command": command, "name": command}
		}
		return s.run(arguments)
	case "when", "unless":
		return s.conditional(name, arguments)
	case "restore_cache", "save_cache":
		return s.cache(name, arguments)
	case "steps":
		return s.steps(mapOf(entry)["steps"])
	}
	command, inner, err := s.find("commands", name)
	if err != nil {
		return nil, err
	}
	if inner, err = inner.bind(s, command, arguments); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := onlyKeys(name, command, "description", "parameters", "steps"); err != nil {
		return nil, err
	}
	steps, err := inner.steps(command["steps"])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return steps, nil
}

func (s scope) run(arguments map[string]any) ([]Step, error) {
	if err := onlyKeys("run", arguments, "name", "command", "environment", "when", "working_directory"); err != nil {
		return nil, err
	}
	environment, err := s.environment(arguments["environment"])
	if err != nil {
		return nil, err
	}
	replaced, err := s.substitute(map[string]any{
		"command": arguments["command"], "name": or(arguments["name"], "run"), "working_directory": or(arguments["working_directory"], ""),
	})
	if err != nil {
		return nil, err
	}
	texts := mapOf(replaced)
	command, ok := texts["command"].(string)
	if !ok || command == "" {
		return nil, errors.New("run: there is no command")
	}
	when := fmt.Sprint(or(arguments["when"], "on_success"))
	if !slices.Contains([]string{"on_success", "on_fail", "always"}, when) {
		return nil, fmt.Errorf("run: when is %s", when)
	}
	return []Step{{
		Kind: "run", Name: fmt.Sprint(texts["name"]), Command: command, Environment: environment,
		When: when, WorkingDirectory: fmt.Sprint(texts["working_directory"]),
	}}, nil
}

// conditional holds the steps if the condition does: not for false, null, 0 and "".
func (s scope) conditional(kind string, arguments map[string]any) ([]Step, error) {
	if err := onlyKeys(kind, arguments, "condition", "steps"); err != nil {
		return nil, err
	}
	condition, err := s.substitute(arguments["condition"])
	if err != nil {
		return nil, err
	}
	var holds bool
	switch v := condition.(type) {
	case bool:
		holds = v
	case string:
		holds = v != ""
	default:
		return nil, fmt.Errorf("%s: the condition %v is not understood here", kind, condition)
	}
	if holds != (kind == "when") {
		return nil, nil
	}
	return s.steps(arguments["steps"])
}

func (s scope) cache(kind string, arguments map[string]any) ([]Step, error) {
	if err := onlyKeys(kind, arguments, "name", "key", "keys", "paths"); err != nil {
		return nil, err
	}
	replaced, err := s.substitute(arguments)
	if err != nil {
		return nil, err
	}
	texts := mapOf(replaced)
	step := Step{Kind: kind, Name: fmt.Sprint(or(texts["name"], kind)), Keys: append(stringsOf(texts["key"]), stringsOf(texts["keys"])...), Paths: stringsOf(texts["paths"])}
	if len(step.Keys) == 0 || (kind == "save_cache") != (len(step.Paths) > 0) {
		return nil, fmt.Errorf("%s: a key or the paths are missing", kind)
	}
	return []Step{step}, nil
}
