package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/ci/circleci-orb/tests/circle"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func TestOrb(t *testing.T) {
	w := newWorld(t)
	t.Run("samples", w.testSamples)
	t.Run("jobs", w.testJobs)
	t.Run("scripts", w.testScripts)
}

// translate puts the addresses of this machine in place of those in a sample, line by line.
func (w *world) translate(t *testing.T, sample string) string {
	t.Helper()
	sum, err := os.ReadFile(filepath.Join(w.dist, "orb.yml"))
	worldtest.Must(t, err)
	m := regexp.MustCompile(`([0-9a-f]{64})  ` + client()).FindSubmatch(sum)
	if m == nil {
		t.Fatal("the packed orb has no checksum of the client")
	}
	translated := strings.NewReplacer(
		"server: https://join.example.com", "server: "+w.URL,
		"GATEPASS_SERVER: https://join.example.com", "GATEPASS_SERVER: "+w.URL,
		"--server https://join.example.com", "--server "+w.URL,
		"hosts: deploy@host.example.com", "hosts: deploy@"+w.host.Addr(),
		"deploy@host.example.com", "-p "+w.port(t)+" deploy@127.0.0.1",
		"https://github.com/gatepass-ci/gatepass/releases/download", w.releases.URL+"/good",
		"GATEPASS_VERSION: 0.1.0", "GATEPASS_VERSION: "+version,
		strings.Repeat("0", 64), string(m[1]),
		"_linux_amd64", strings.TrimPrefix(client(), "gatepass_"+version),
	).Replace(sample)
	// The audience is a name, and the orb comes from fetch. Nothing else is of the outside.
	rest := strings.NewReplacer(audience, "", address, "").Replace(translated)
	if strings.Contains(rest, "example.com") || strings.Contains(rest, "github") {
		t.Fatalf("not all of it is of this machine:\n%s", translated)
	}
	return translated
}

// address is the orb's, as docs/circleci.md has it.
const address = "https://raw.githubusercontent.com/gatepass-ci/gatepass/COMMIT/ci/circleci-orb/orb.yml"

// fetch returns the packed orb of the release for its address.
func (w *world) fetch(reference string) ([]byte, error) {
	if reference != address {
		return nil, fmt.Errorf("%s is not %s", reference, address)
	}
	raw, err := os.ReadFile(filepath.Join(w.dist, "orb.yml"))
	return []byte(strings.ReplaceAll(string(raw), "https://github.com/gatepass-ci/gatepass/releases/download", w.releases.URL+"/good")), err
}

// project is a shop with a page.
func project(dir string) error {
	page := filepath.Join(dir, "public")
	return errors.Join(os.MkdirAll(page, 0o755), os.WriteFile(filepath.Join(page, "index.html"), []byte("hello world\n"), 0o644))
}

// run runs the jobs of a configuration, one after another on machines of their own that
// share the project's caches. It returns the machine of the last job, what its steps said,
// and the failure of the first job that failed.
func (w *world) run(t *testing.T, config, caches string, environment ...string) (*circle.Runner, string, error) {
	t.Helper()
	parsed, err := circle.Parse([]byte(config), w.fetch)
	worldtest.Must(t, err)
	jobs, err := parsed.Jobs()
	worldtest.Must(t, err)
	var output strings.Builder
	var runner *circle.Runner
	for _, job := range jobs {
		runner = &circle.Runner{
			Folder: t.TempDir(), Caches: caches, Checkout: project,
			Environment: append(w.environment(t), environment...),
		}
		ran, err := runner.Run(t.Context(), job)
		for _, step := range ran {
			fmt.Fprintf(&output, "== %s\n%s", step.Step.Name, step.Output)
		}
		if err != nil {
			return runner, output.String(), fmt.Errorf("job %s: %w", job.Name, err)
		}
	}
	return runner, output.String(), nil
}

// nothingLeft checks what a job must not leave behind, and what it must not have said.
func nothingLeft(t *testing.T, runner *circle.Runner, output string) {
	t.Helper()
	if files := left(t, runner.Folder); len(files) > 0 {
		t.Errorf("secrets are left in %v", files)
	}
	if m := secrets.FindString(output); m != "" {
		t.Errorf("the build log shows %q", m)
	}
}

// Every configuration of docs/circleci.md runs from checkout to hello world, twice: the
// second time the client comes from the cache.
func (w *world) testSamples(t *testing.T) {
	samples := blocks(t, "# .circleci/config.yml")
	if len(samples) != 4 {
		t.Errorf("there are %d samples, not 4", len(samples))
	}
	for i, sample := range samples {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			t.Parallel()
			caches := t.TempDir()
			for range 2 {
				runner, output, err := w.run(t, w.translate(t, sample), caches)
				if err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
				if !strings.Contains(output, "\nhello world\n") {
					t.Errorf("nobody says hello world:\n%s", output)
				}
				nothingLeft(t, runner, output)
			}
			if strings.Contains(sample, "orbs:") {
				if cached, _ := filepath.Glob(filepath.Join(caches, "*", ".cache/gatepass-orb", client())); len(cached) != 1 {
					t.Errorf("the cache has %v", cached)
				}
			}
		})
	}
}
