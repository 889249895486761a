// Package release checks what `make release` makes: for two of the platforms, without the
// administrators' command and the pipe's image, which have tests of their own.
package release

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// version and the first platform are those of ci/circleci-orb/tests, so that it is built once.
const version = "9.9.9"

// Every job of every pipeline fetches the client, so on one platform its size in bytes
// has a limit: docs/decisions/0017-one-command-line.md.
const (
	measured = "linux/amd64"
	maxSize  = 10_000_000
)

func platforms() []string {
	all := []string{runtime.GOOS + "/" + runtime.GOARCH, "darwin/arm64"}
	if !slices.Contains(all, measured) {
		all = append(all, measured)
	}
	return all
}

func TestMain(m *testing.M) { worldtest.Main(m) }

// build makes the parts of a release from the source in root.
func build(t *testing.T, root string) string {
	t.Helper()
	dist := filepath.Join(t.TempDir(), "dist")
	worldtest.Output(t, "make", "-s", "-C", root, "clients", "sboms", "orb", "DIST="+dist, "VERSION="+version, "PLATFORMS="+strings.Join(platforms(), " "))
	worldtest.Output(t, "make", "-s", "-C", root, "lists", "DIST="+dist, "VERSION="+version)
	return dist
}

func client(platform string) string {
	return "gatepass_" + version + "_" + strings.ReplaceAll(platform, "/", "_")
}

func TestRelease(t *testing.T) {
	for _, program := range []string{"make", "git", "jq", "sha256sum"} {
		worldtest.Need(t, program)
	}
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	dist := build(t, root)

	t.Run("checksums", func(t *testing.T) {
		out := worldtest.Output(t, "sh", "-c", `cd "$1" && sha256sum --strict --check SHA256SUMS`, "-", dist)
		entries, err := os.ReadDir(dist)
		worldtest.Must(t, err)
		if n := strings.Count(out, ": OK\n"); n != len(entries)-1 || n != 2*len(platforms())+4 { // the orb and three of licences
			t.Errorf("%d of %d files have checksums:\n%s", n, len(entries), out)
		}
	})
	t.Run("the client", func(t *testing.T) {
		if out := worldtest.Output(t, filepath.Join(dist, client(platforms()[0])), "version"); !strings.HasPrefix(out, "gatepass "+version+" ") {
			t.Errorf("it says %q", out)
		}
	})
	t.Run("the client's size", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(dist, client(measured)))
		worldtest.Must(t, err)
		if info.Size() > maxSize {
			t.Errorf("%d bytes, at most %d: see what is in it: build it without -ldflags and ask `go tool nm -size -sort size`", info.Size(), maxSize)
		}
		t.Logf("%d bytes of %d", info.Size(), maxSize)
	})
	t.Run("SBOMs", func(t *testing.T) { checkSBOMs(t, dist) })
	t.Run("the orb", func(t *testing.T) { checkOrb(t, dist) })
	t.Run("pinned", func(t *testing.T) { checkPin(t, root, dist) })
	t.Run("reproducible", func(t *testing.T) { checkReproducible(t, root) })
}

// checkSBOMs compares each SBOM with what the linker has noted in the program.
func checkSBOMs(t *testing.T, dist string) {
	for _, platform := range platforms() {
		file := filepath.Join(dist, client(platform))
		info, err := buildinfo.ReadFile(file)
		worldtest.Must(t, err)
		for _, setting := range info.Settings {
			if strings.HasPrefix(setting.Key, "vcs") {
				t.Errorf("%s: the program knows its commit, and so its checksum could not be committed: %s", platform, setting.Key)
			}
		}
		raw, err := os.ReadFile(file + ".cdx.json")
		worldtest.Must(t, err)
		var sbom struct {
			BOMFormat string
			Metadata  struct {
				Timestamp string
				Component struct{ Name, Version string }
			}
			Components []struct{ Name, Version string }
		}
		worldtest.Must(t, json.Unmarshal(raw, &sbom))
		if c := sbom.Metadata.Component; sbom.BOMFormat != "CycloneDX" || c.Name != "github.com/gatepass-ci/gatepass" || c.Version != version {
			t.Errorf("%s: it is a %s of %s %s", platform, sbom.BOMFormat, c.Name, c.Version)
		}
		listed := make(map[string]string)
		for _, c := range sbom.Components {
			listed[c.Name] = c.Version
		}
		if len(listed) != len(info.Deps)+1 { // and Go's own library
			t.Errorf("%s: %d components, of %d modules", platform, len(listed), len(info.Deps))
		}
		for _, module := range info.Deps {
			if listed[module.Path] != module.Version {
				t.Errorf("%s: %s is %q, and not %s", platform, module.Path, listed[module.Path], module.Version)
			}
		}
		if listed["std"] != info.GoVersion {
			t.Errorf("%s: Go is %q, and not %s", platform, listed["std"], info.GoVersion)
		}
	}
}

// checkOrb looks for the version and the checksums that the orb installs.
func checkOrb(t *testing.T, dist string) {
	orb, err := os.ReadFile(filepath.Join(dist, "orb.yml"))
	worldtest.Must(t, err)
	sums, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	worldtest.Must(t, err)
	for _, platform := range platforms() {
		line := regexp.MustCompile(`(?m)^[0-9a-f]{64}  ` + regexp.QuoteMeta(client(platform)) + `$`).Find(sums)
		if line == nil || !bytes.Contains(orb, append(line, '\n')) {
			t.Errorf("the orb lacks the line %q", line)
		}
	}
	if n := bytes.Count(orb, []byte("default: "+version+"\n")); n != 3 {
		t.Errorf("%d parameters have the default %s, of 3: of install, run and deploy", n, version)
	}
	if bytes.Contains(orb, []byte(".cdx.json")) {
		t.Error("the orb has a checksum of an SBOM")
	}
}

// checkPin writes the release into the committed orb, which is then the orb of the release;
// a later build with other checksums is refused.
func checkPin(t *testing.T, root, dist string) {
	source := filepath.Join(t.TempDir(), "source")
	snapshot(t, root, source)
	clients := filepath.Join(t.TempDir(), "clients")
	worldtest.Must(t, os.CopyFS(clients, os.DirFS(dist)))
	script := filepath.Join(source, "tools/release.sh")
	worldtest.Output(t, script, "pin", clients, version)
	want, err := os.ReadFile(filepath.Join(dist, "orb.yml"))
	worldtest.Must(t, err)
	got, err := os.ReadFile(filepath.Join(source, "ci/circleci-orb/orb.yml"))
	worldtest.Must(t, err)
	if !bytes.Equal(want, got) {
		t.Error("the pinned orb is not that of the release")
	}
	worldtest.Output(t, script, "orb", clients, version)
	worldtest.Write(t, clients, client(platforms()[0]), "another client")
	out, err := exec.CommandContext(t.Context(), script, "orb", clients, version).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the committed orb has other checksums of "+version) {
		t.Errorf("another client is no failure: %v\n%s", err, out)
	}
}

// checkReproducible builds twice, from clones of one tag in folders of their own, the second
// time with other settings around it. The provenance is the same too.
func checkReproducible(t *testing.T, root string) {
	parent := t.TempDir()
	one, two := filepath.Join(parent, "one"), filepath.Join(parent, "somewhere/else")
	snapshot(t, root, one)
	worldtest.Output(t, "bash", "-euc", `cd "$1"; git init -q; git add .
		git -c user.name=a -c user.email=a@localhost commit -q -m release; git tag "v$2"; git clone -q . "$3"`, "-", one, version, two)
	sums := func(root string) string {
		raw, err := os.ReadFile(filepath.Join(build(t, root), "SHA256SUMS"))
		worldtest.Must(t, err)
		return string(raw)
	}
	want := sums(one)
	if !strings.Contains(want, "  provenance.json\n") {
		t.Errorf("it has no provenance:\n%s", want)
	}
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("LDFLAGS", "-X github.com/gatepass-ci/gatepass/internal/cli.version=other")
	t.Setenv("GOFLAGS", "-buildvcs=true")
	t.Setenv("GOAMD64", "v3")
	t.Setenv("GOARM64", "v8.2")
	if got := sums(two); got != want {
		t.Errorf("it is not the same elsewhere:\n%s\n%s", want, got)
	}
}

// snapshot copies the files of the repository that a release is made of.
func snapshot(t *testing.T, root, to string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
		".gitignore", "Makefile", "LICENSE", "THIRD_PARTY*.txt", "go.mod", "go.sum", "cmd/gatepass", "internal", "pkg", "tools", "ci/circleci-orb")
	list.Dir = root
	files, err := list.Output()
	worldtest.Must(t, err)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // removed, and not committed yet
		}
		raw, err := os.ReadFile(filepath.Join(root, name))
		worldtest.Must(t, err)
		file := filepath.Join(to, name)
		worldtest.Must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		worldtest.Must(t, os.WriteFile(file, raw, info.Mode().Perm()))
	}
}

// The committed orb says which version it installs, of which it has checksums or none.
func TestCommittedChecksums(t *testing.T) {
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	release := filepath.Join(root, "ci/circleci-orb/src/release")
	committed, err := os.ReadFile(filepath.Join(release, "version.txt"))
	worldtest.Must(t, err)
	sums, err := os.ReadFile(filepath.Join(release, "checksums.txt"))
	worldtest.Must(t, err)
	known := regexp.MustCompile(`^[0-9a-f]{64}  gatepass_` + regexp.QuoteMeta(string(committed)) + `_(linux|darwin)_(amd64|arm64)$`)
	n := 0
	for line := range strings.Lines(string(sums)) {
		if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "#") {
			continue
		}
		n++
		if !known.MatchString(line) {
			t.Errorf("checksums.txt has the line %q", line)
		}
	}
	if n != 0 && n != 4 {
		t.Errorf("checksums.txt has %d of 4 platforms", n)
	}
}

// The orb verifies by a key that gatepassctl verify goes by too, or by none.
func TestTheOrbsKey(t *testing.T) {
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	orb, err := os.ReadFile(filepath.Join(root, "ci/circleci-orb/src/release/cosign.pub"))
	worldtest.Must(t, err)
	files, err := filepath.Glob(filepath.Join(root, "internal/release/keys/*.pub"))
	worldtest.Must(t, err)
	if len(files) == 0 && bytes.HasPrefix(orb, []byte("# ")) {
		return
	}
	for _, file := range files {
		if key, err := os.ReadFile(file); err == nil && bytes.Equal(key, orb) {
			return
		}
	}
	t.Errorf("the orb's key is none of %q", files)
}
