package hosts_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// Each shell takes the script as it is printed, and shellcheck finds nothing in it.
func TestScriptIsPortable(t *testing.T) {
	h := prod(t)
	h.RevokedKeys = true
	h.HostCertificates = []string{"/etc/ssh/key-cert.pub"}
	script, err := h.Script()
	must(t, err)
	file := worldtest.Write(t, t.TempDir(), "setup.sh", script)
	for _, command := range [][]string{
		{"dash", "-n"}, {"bash", "--posix", "-n"}, {"busybox", "sh", "-n"}, {"shellcheck", "--severity=style"},
	} {
		out, err := exec.CommandContext(t.Context(), worldtest.Need(t, command[0]), append(command[1:], file)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(command, " "), err, out)
		}
	}
}

// A script that was cut off on its way does nothing.
func TestScriptThatWasCutOff(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		script, err := prod(t).Script()
		must(t, err)
		before := m.snapshot()
		for _, length := range []int{len(script) / 2, len(script) - 2} {
			m.write("/setup", script[:length])
			if out, status := m.run(append(m.shell.command[:len(m.shell.command):len(m.shell.command)], m.path("/setup"))...); status == 0 {
				t.Errorf("the first %d bytes of it succeed:\n%s", length, out)
			}
		}
		if len(before) != len(m.snapshot()) {
			t.Error("something was written")
		}
	})
}

// Names that mean something to a shell are names.
func TestNamesOfTheShell(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		h := prod(t)
		h.Accounts["esac"] = []string{"END", "END-OF-FILE", "EOF", "done"}
		if done := m.apply(h); done[hosts.PrincipalsDir+"/esac"] != "created" {
			t.Errorf("%v", done)
		}
	})
}

func TestScriptIsTold(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		for _, args := range [][]string{{"chekc"}, {"check", "reload"}, {""}} {
			if out, status := m.setup(prod(t), args...); status != 2 || !strings.HasPrefix(out, "usage: ") {
				t.Errorf("%q: status %d:\n%s", args, status, out)
			}
		}
		if out, status := m.setup(prod(t), "reload"); status != 0 || !strings.Contains(out, "no sshd runs here that would have to be reloaded") {
			t.Errorf("reload where none runs: status %d:\n%s", status, out)
		}
	})
}

// A host that lacks a tool is told so, and nothing is written.
func TestMissingTools(t *testing.T) {
	for _, tool := range []string{"cmp", "awk", "find"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			// busybox's own shell runs its tools whether they are there or not.
			m := newMachine(t, shell{command: []string{worldtest.Need(t, "dash")}, tools: shells(t)[2].tools})
			m.bare = true
			must(t, os.Symlink(worldtest.Need(t, "ssh-keygen"), m.path("/bin/ssh-keygen")))
			h := prod(t)
			m.apply(h)
			must(t, os.Remove(filepath.Join(m.shell.tools, tool)))
			before := m.snapshot()
			if out, status := m.setup(h); status != 1 || !strings.Contains(out, "there is no "+tool+" on this host") {
				t.Errorf("status %d:\n%s", status, out)
			}
			if diff := cmp.Diff(before, m.snapshot()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
		})
	}
}

// cloudConfig is what is printed of cloud-init's user data.
type cloudConfig struct {
	WriteFiles []struct{ Path, Content, Encoding, Permissions, Owner string } `yaml:"write_files"`
	RunCmd     [][]string                                                     `yaml:"runcmd"`
}

func TestCloudInit(t *testing.T) {
	h := prod(t)
	text, err := h.CloudInit()
	must(t, err)
	if !strings.HasPrefix(text, "#cloud-config\n") || len(text) > 16<<10 {
		t.Errorf("it has %d bytes and begins %.40q", len(text), text)
	}
	var config cloudConfig
	must(t, yaml.Unmarshal([]byte(text), &config))
	if len(config.WriteFiles) != 1 || len(config.RunCmd) != 1 {
		t.Fatalf("got %+v", config)
	}
	f := config.WriteFiles[0]
	zipped, err := base64.StdEncoding.DecodeString(f.Content)
	must(t, err)
	r, err := gzip.NewReader(strings.NewReader(string(zipped)))
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, err)
	script, err := h.Script()
	must(t, err)
	if string(got) != script || f.Encoding != "gz+b64" || f.Permissions != "0755" || f.Owner != "root:root" {
		t.Errorf("it writes %+v", f)
	}
	if want := "sh " + f.Path + " reload"; strings.Join(config.RunCmd[0], " ") != want {
		t.Errorf("it runs %q, want %q", config.RunCmd[0], want)
	}
}

// cloud-init's own schema takes the user data. It is what its package has, of the modules that are used.
func TestCloudInitSchema(t *testing.T) {
	text, err := prod(t).CloudInit()
	must(t, err)
	dir := t.TempDir()
	var anything any
	must(t, yaml.Unmarshal([]byte(text), &anything))
	asJSON, err := json.Marshal(anything)
	must(t, err)
	schema := filepath.Join("testdata", "cloud-init-22.4.2.json")
	root, err := worldtest.Root()
	must(t, err)
	check := worldtest.Need(t, filepath.Join(root, ".tools/venv-yaml/bin/check-jsonschema"))
	good := worldtest.Write(t, dir, "good.json", string(asJSON))
	if out, err := exec.CommandContext(t.Context(), check, "--schemafile", schema, good).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, change := range [][2]string{{"gz+b64", "zip"}, {`"permissions":"0755"`, `"permissions":755`}} {
		bad := worldtest.Write(t, dir, "bad.json", strings.Replace(string(asJSON), change[0], change[1], 1))
		if out, err := exec.CommandContext(t.Context(), check, "--schemafile", schema, bad).CombinedOutput(); err == nil {
			t.Errorf("the schema takes %s\n%s", change[1], out)
		}
	}
}
