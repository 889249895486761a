// Package circle runs the jobs of a CircleCI configuration on this machine, for tests of
// the orb: it expands workflows, jobs, commands, parameters and steps by the rules of
// CircleCI's configuration reference, and runs each step as CircleCI does, a bash of its
// own that reads BASH_ENV first.
//
// It knows what the orb and the samples of docs/circleci.md use, and refuses the rest: what
// it passed over silently would be tested by nobody. Docker images are not run; every job
// runs here.
package circle

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Config is a configuration with the orbs that it names.
type Config struct {
	doc  map[string]any
	orbs map[string]map[string]any // by the names that the configuration gives them
}

// Parse reads a configuration; fetch returns the packed orb of a reference, such as a URL.
func Parse(raw []byte, fetch func(reference string) ([]byte, error)) (*Config, error) {
	c := &Config{orbs: make(map[string]map[string]any)}
	if err := yaml.Unmarshal(raw, &c.doc); err != nil {
		return nil, err
	}
	if err := onlyKeys("the configuration", c.doc, "version", "orbs", "commands", "jobs", "workflows"); err != nil {
		return nil, err
	}
	if c.doc["version"] != 2.1 {
		return nil, errors.New("version is not 2.1")
	}
	for name, reference := range mapOf(c.doc["orbs"]) {
		text, err := fetch(fmt.Sprint(reference))
		if err != nil {
			return nil, fmt.Errorf("orb %s: %w", name, err)
		}
		var orb map[string]any
		if err := yaml.Unmarshal(text, &orb); err != nil {
			return nil, fmt.Errorf("orb %s: %w", name, err)
		}
		c.orbs[name] = orb
	}
	return c, nil
}

// Job is a job with everything expanded, as it will run.
type Job struct {
	Name        string
	Contexts    []string
	Requires    []string
	Environment map[string]string
	Steps       []Step
}

// Jobs returns the jobs of all workflows: workflows by name, jobs as they are written.
func (c *Config) Jobs() ([]Job, error) {
	var all []Job
	workflows := mapOf(c.doc["workflows"])
	for _, name := range slices.Sorted(maps.Keys(workflows)) {
		workflow := mapOf(workflows[name])
		if err := onlyKeys("workflow "+name, workflow, "jobs"); err != nil {
			return nil, err
		}
		for _, entry := range listOf(workflow["jobs"]) {
			job, err := c.job(entry)
			if err != nil {
				return nil, fmt.Errorf("workflow %s: %w", name, err)
			}
			all = append(all, job)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no workflow has a job")
	}
	return all, nil
}

// reserved are keys of a job in a workflow that never reach the job as arguments.
var reserved = []string{"type", "matrix", "pre-steps", "post-steps", "serial-group", "override-with", "max_auto_reruns"}

// job expands a job of a workflow. Of its keys some are the workflow's; the others are
// arguments of the job.
func (c *Config) job(entry any) (Job, error) {
	reference, arguments, err := oneKey(entry)
	if err != nil {
		return Job{}, err
	}
	arguments = maps.Clone(arguments)
	job := Job{
		Name:     fmt.Sprint(or(arguments["name"], reference)),
		Contexts: stringsOf(arguments["context"]),
		Requires: stringsOf(arguments["requires"]),
	}
	for _, key := range []string{"name", "context", "requires", "filters"} {
		delete(arguments, key)
	}
	root := scope{config: c, local: c.doc}
	for _, key := range reserved {
		if arguments[key] != nil {
			return Job{}, fmt.Errorf("job %s: %s is the workflow's own key, and not known here", job.Name, key)
		}
	}
	definition, inner, err := root.find("jobs", reference)
	if err != nil {
		return Job{}, err
	}
	if inner, err = inner.bind(root, definition, arguments); err != nil {
		return Job{}, fmt.Errorf("job %s: %w", job.Name, err)
	}
	if err := inner.expandJob(&job, definition); err != nil {
		return Job{}, fmt.Errorf("job %s: %w", job.Name, err)
	}
	return job, nil
}

func (s scope) expandJob(job *Job, definition map[string]any) error {
	if err := onlyKeys("the job", definition, "description", "parameters", "executor", "docker", "macos", "machine", "environment", "steps"); err != nil {
		return err
	}
	if err := s.checkExecutor(definition); err != nil {
		return err
	}
	environment, err := s.environment(definition["environment"])
	if err != nil {
		return err
	}
	job.Environment = environment
	job.Steps, err = s.steps(definition["steps"])
	return err
}

// checkExecutor refuses a job that would run nowhere, or in an executor that is not there.
func (s scope) checkExecutor(definition map[string]any) error {
	where := 0
	for _, key := range []string{"executor", "docker", "macos", "machine"} {
		if definition[key] != nil {
			where++
		}
	}
	if where != 1 {
		return fmt.Errorf("it has %d of executor, docker, macos and machine, not one", where)
	}
	if definition["executor"] == nil {
		return nil
	}
	value, err := s.substitute(definition["executor"])
	if err != nil {
		return err
	}
	from := s
	if chosen, ok := value.(bound); ok {
		value, from = chosen.value, chosen.scope
	}
	reference, arguments, err := oneKey(value)
	if err != nil {
		return err
	}
	if name, ok := arguments["name"]; ok && reference == "" {
		reference = fmt.Sprint(name)
	}
	executor, inner, err := from.find("executors", reference)
	if err != nil {
		return err
	}
	_, err = inner.bind(from, executor, arguments)
	return err
}
