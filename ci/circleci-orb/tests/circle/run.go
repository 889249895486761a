package circle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Runner is a machine that jobs run on.
type Runner struct {
	// Folder is for this run: the home, the checkout and BASH_ENV are made in it.
	Folder string
	// Caches is a folder that outlasts the run, by project.
	Caches string
	// Environment is what every job has: "NAME=value".
	Environment []string
	// Checkout fills the working directory.
	Checkout func(dir string) error
}

// Home and Project are the home and the working directory of the jobs.
func (r *Runner) Home() string    { return filepath.Join(r.Folder, "home") }
func (r *Runner) Project() string { return filepath.Join(r.Folder, "project") }

// Ran is how a step ended.
type Ran struct {
	Step   Step
	Output string // stdout and stderr
	Status int
}

// Run runs the steps of a job. After a step that failed only those run that say so. The
// error is that of the first step that failed; what ran is returned in any case.
func (r *Runner) Run(ctx context.Context, job Job) ([]Ran, error) {
	for _, dir := range []string{r.Home(), r.Project(), r.Caches} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	var all []Ran
	var failed error
	for i, step := range job.Steps {
		switch when := step.When; {
		case failed != nil && when != "always" && when != "on_fail", failed == nil && when == "on_fail":
			continue
		}
		ran, err := r.step(ctx, job, step)
		all = append(all, ran)
		if err != nil && failed == nil {
			failed = fmt.Errorf("step %d, %s: %w\n%s", i+1, step.Name, err, ran.Output)
		}
	}
	return all, failed
}

func (r *Runner) step(ctx context.Context, job Job, step Step) (Ran, error) {
	switch step.Kind {
	case "checkout":
		return Ran{Step: step}, r.Checkout(r.Project())
	case "restore_cache", "save_cache":
		return Ran{Step: step}, r.cache(ctx, step)
	}
	script := filepath.Join(r.Folder, "step.sh")
	if err := os.WriteFile(script, []byte(step.Command), 0o600); err != nil {
		return Ran{Step: step}, err
	}
	cmd := exec.CommandContext(ctx, "/bin/bash", "-eo", "pipefail", script)
	cmd.Dir = filepath.Join(r.Project(), step.WorkingDirectory)
	cmd.Env = append([]string{
		"HOME=" + r.Home(), "BASH_ENV=" + filepath.Join(r.Folder, "bash_env"), "CI=true", "CIRCLECI=true", "LC_ALL=C.UTF-8",
	}, r.Environment...)
	for _, environment := range []map[string]string{job.Environment, step.Environment} {
		for name, value := range environment {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return Ran{Step: step, Output: string(out), Status: cmd.ProcessState.ExitCode()}, err
}

// cache keeps the paths under the key, unless there are any, and puts them back.
func (r *Runner) cache(ctx context.Context, step Step) error {
	for _, key := range step.Keys {
		key = strings.ReplaceAll(key, "{{ arch }}", "arch1-linux-amd64")
		if strings.Contains(key, "{{") || strings.Contains(key, "/") {
			return fmt.Errorf("the cache key %q is not understood here", key)
		}
		saved := filepath.Join(r.Caches, key)
		_, err := os.Stat(saved)
		switch {
		case step.Kind == "restore_cache" && err == nil:
			return exec.CommandContext(ctx, "cp", "-a", saved+"/.", r.Home()).Run()
		case step.Kind == "save_cache" && errors.Is(err, os.ErrNotExist):
			return r.save(ctx, step, saved)
		}
	}
	return nil
}

func (r *Runner) save(ctx context.Context, step Step, saved string) error {
	for _, path := range step.Paths {
		inHome, ok := strings.CutPrefix(path, "~/")
		if !ok {
			return fmt.Errorf("the cached path %s is not in the home", path)
		}
		to := filepath.Join(saved, filepath.Dir(inHome))
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, "cp", "-a", filepath.Join(r.Home(), inHome), to).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return nil
}
