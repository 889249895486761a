package teleport

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

// apply runs gatepassctl apply on a store of its own.
func apply(t *testing.T, yaml string) (data, stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	data = filepath.Join(dir, "data")
	file := worldtest.Write(t, dir, "file.yaml", yaml)
	worldtest.Begin(t, data)
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepassctl"), "apply", "-f", file, "--data", data)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return data, out.String(), errs.String(), err
}

func TestWhatTeleportTakesIsStored(t *testing.T) {
	for _, s := range valid {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			data, stdout, stderr, err := apply(t, s.yaml)
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr)
			}
			for _, id := range s.want {
				if !strings.Contains(stdout, "created    "+id+"\n") {
					t.Errorf("%s was not created:\n%s", id, stdout)
				}
				worldtest.Output(t, worldtest.Binary(t, "gatepassctl"), "get", id, "--data", data)
			}
			if strings.Count(stdout, "\n") < len(s.want) {
				t.Errorf("%d resources are wanted:\n%s", len(s.want), stdout)
			}
			passedOver := strings.Contains(stderr, "file.yaml:") // lint's warnings name a resource, not a line
			if passedOver != (s.warns != "") || !strings.Contains(stderr, s.warns) {
				t.Errorf("warnings, of which one names %q:\n%s", s.warns, stderr)
			}
		})
	}
}

func TestWhatTeleportRefusesIsRefused(t *testing.T) { checkRefused(t, invalid) }

func TestWhatIsRefusedHereOnly(t *testing.T) { checkRefused(t, stricter) }

func checkRefused(t *testing.T, samples []sample) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			data, stdout, stderr, err := apply(t, s.yaml)
			if err == nil {
				t.Fatalf("it was stored:\n%s%s", stdout, s.yaml)
			}
			if !strings.Contains(stderr, ": "+s.refused) {
				t.Errorf("got\n%swant %s", stderr, s.refused)
			}
			if found := worldtest.Output(t, worldtest.Binary(t, "gatepassctl"), "get", "all", "-o", "name", "--data", data); found != "" {
				t.Errorf("a refused file left %s", found)
			}
		})
	}
}

// A UUID without braces never matches there and nobody is told; here it means the same.
func TestBracesMeanNothing(t *testing.T) {
	data, _, stderr, err := apply(t, with(bitbucketToken, "'{"+workspace+"}'", strings.ToUpper(workspace)))
	if err != nil {
		t.Fatal(stderr)
	}
	stored := worldtest.Output(t, worldtest.Binary(t, "gatepassctl"), "get", "token/example-bot", "--data", data)
	if !strings.Contains(stored, "{"+workspace+"}") {
		t.Errorf("stored as\n%s", stored)
	}
}
