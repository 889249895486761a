package test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxZip is docs/deploy.md's promise on the size of a function.
const maxZip = 12 << 20

// sam build needs no network once the modules are there, and the same source
// gives the same bytes, wherever it lies.
func TestSAMBuild(t *testing.T) {
	sam := venv(t, "sam", "sam")
	output(t, "go", "mod", "download") // warms the module cache
	root, err := filepath.Abs("..")
	must(t, err)
	elsewhere := copySource(t, root)

	var sums [2]map[string][32]byte
	for i, source := range []string{root, elsewhere} {
		out := filepath.Join(t.TempDir(), "build")
		cmd := withoutNetwork(t, sam, "build", "--build-dir", out, "--cache-dir", filepath.Join(t.TempDir(), "cache"))
		cmd.Dir = source
		// Elsewhere has no .git, and this folder may have files that no commit has.
		cmd.Env = samEnv("GOPROXY=off", "GOFLAGS=-buildvcs=true", "HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("sam build in %s: %v\n%s", source, err, text)
		}
		sums[i] = map[string][32]byte{}
		for _, function := range []string{"JoinFunction", "JwksRefreshFunction"} {
			sums[i][function] = checkArtifact(t, filepath.Join(out, function))
		}
		built, err := os.ReadFile(filepath.Join(out, "template.yaml"))
		must(t, err)
		if bytes.Contains(built, []byte("&id")) {
			t.Error("the built template has YAML anchors, which CloudFormation refuses")
		}
	}
	for function, sum := range sums[0] {
		if sum != sums[1][function] {
			t.Errorf("%s is %x in one place and %x in another", function, sum, sums[1][function])
		}
	}
	if sums[0]["JoinFunction"] == sums[0]["JwksRefreshFunction"] {
		t.Error("both functions are the same program")
	}
}

// checkArtifact looks at what Lambda would be given, and returns its hash.
func checkArtifact(t *testing.T, dir string) [32]byte {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) != 1 || files[0].Name() != "bootstrap" {
		t.Fatalf("%s has %v, and should have bootstrap alone", dir, files)
	}
	program, err := os.ReadFile(filepath.Join(dir, "bootstrap"))
	must(t, err)
	if info, err := files[0].Info(); err != nil || info.Mode()&0o111 != 0o111 {
		t.Errorf("bootstrap is not executable: %v %v", info.Mode(), err)
	}
	binary, err := elf.NewFile(bytes.NewReader(program))
	must(t, err)
	if binary.Machine != elf.EM_AARCH64 {
		t.Errorf("bootstrap is for %v, and the template says arm64", binary.Machine)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("bootstrap is not static: %v %v", libraries, err)
	}
	var zipped bytes.Buffer
	archive := zip.NewWriter(&zipped)
	w, err := archive.Create("bootstrap")
	must(t, err)
	_, err = w.Write(program)
	must(t, err)
	must(t, archive.Close())
	if zipped.Len() > maxZip {
		t.Errorf("the zip has %d bytes, more than %d", zipped.Len(), maxZip)
	}
	return sha256.Sum256(program)
}

// withoutNetwork is a command in a network namespace of its own, which has no
// interface up. Where that is not allowed, only the environment keeps it off.
func withoutNetwork(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	unshare := need(t, "unshare")
	if out, err := exec.CommandContext(t.Context(), unshare, "-rn", "true").CombinedOutput(); err != nil {
		t.Logf("no network namespaces here (%v %s): proxies that do not exist stand for a cut network", err, out)
		return exec.CommandContext(t.Context(), program, args...)
	}
	return exec.CommandContext(t.Context(), unshare, append([]string{"-rn", program}, args...)...)
}

// copySource copies what a build needs to another folder.
func copySource(t *testing.T, root string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "template.yaml", "samconfig.toml"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		must(t, err)
		write(t, to, name, string(text))
	}
	for _, dir := range []string{"functions", "internal", "pkg"} {
		must(t, os.CopyFS(filepath.Join(to, dir), os.DirFS(filepath.Join(root, dir))))
	}
	return to
}
