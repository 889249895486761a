package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// maxImage is what an image may take, unpacked.
const maxImage = 10_000_000

// blobs are the files of an OCI archive (image-spec, image-layout.md).
type blobs map[string][]byte

func (b blobs) json(t *testing.T, name string, to any) {
	t.Helper()
	if err := json.Unmarshal(b[name], to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type descriptor struct {
	Digest   string
	Platform struct{ Architecture, OS string }
}

func (d descriptor) path() string { return "blobs/sha256/" + d.Digest[len("sha256:"):] }

// archive looks into what `make pipe` writes, without the tools that wrote it.
func archive(t *testing.T, w *world) {
	raw, err := os.ReadFile(w.archive)
	worldtest.Must(t, err)
	all := blobs(untar(t, bytes.NewReader(raw)))
	var index, platforms struct{ Manifests []descriptor }
	all.json(t, "index.json", &index)
	all.json(t, index.Manifests[0].path(), &platforms)
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, platform := range platforms.Manifests {
		arch := platform.Platform.Architecture
		machine, wanted := machines[arch]
		if !wanted || platform.Platform.OS != "linux" {
			t.Errorf("it has an image for %+v", platform.Platform)
			continue
		}
		delete(machines, arch)
		checkImage(t, w, all, platform, machine)
	}
	if len(machines) > 0 {
		t.Errorf("it has no image for %v", machines)
	}

	// Again, from a copy of the source in another folder.
	again, elsewhere := t.TempDir(), *w
	elsewhere.root = filepath.Join(t.TempDir(), "somewhere", "else")
	worldtest.Output(t, "bash", "-euo", "pipefail", "-c", `mkdir -p "$2"; cd "$1"
		git ls-files -z --cached --others --exclude-standard Makefile LICENSE THIRD_PARTY_CLIENT.txt go.mod go.sum cmd/gatepass internal pkg tools ci/bitbucket-pipe |
			while IFS= read -r -d '' file; do [[ ! -f $file ]] || cp --parents -- "$file" "$2"; done`, "-", w.root, elsewhere.root)
	elsewhere.make(t, again)
	second, err := os.ReadFile(filepath.Join(again, filepath.Base(w.archive)))
	worldtest.Must(t, err)
	if sha256.Sum256(raw) != sha256.Sum256(second) {
		t.Error("the same source gave other bytes elsewhere")
	}

	cmd := exec.CommandContext(t.Context(), "tools/pipe.sh", again, "go", "build")
	cmd.Dir = w.root
	cmd.Env = append(os.Environ(), "CA_CERTIFICATES="+again+"/none")
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("there are no authorities in")) {
		t.Errorf("without authorities: %v %s", err, out)
	}
}

func checkImage(t *testing.T, w *world, all blobs, platform descriptor, machine elf.Machine) {
	t.Helper()
	arch := platform.Platform.Architecture
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	all.json(t, platform.path(), &manifest)
	var config struct {
		Architecture string
		Config       struct {
			Entrypoint []string
			User       string
			Labels     map[string]string
		}
	}
	all.json(t, manifest.Config.path(), &config)
	if config.Architecture != arch || !slices.Equal(config.Config.Entrypoint, []string{"/gatepass", "pipe"}) || config.Config.User != "" {
		t.Errorf("%s: %+v", arch, config)
	}
	files := map[string][]byte{}
	compressed := 0
	for _, layer := range manifest.Layers {
		compressed += len(all[layer.path()])
		plain, err := gzip.NewReader(bytes.NewReader(all[layer.path()]))
		worldtest.Must(t, err)
		for name, data := range untar(t, plain) {
			files[name] = data
		}
	}
	size := 0
	var names []string
	for name, data := range files {
		size += len(data)
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"LICENSE", "README.md", "THIRD_PARTY_CLIENT.txt", "etc/ssl/certs/ca-certificates.crt", "gatepass", "pipe.yml"}; !slices.Equal(names, want) {
		t.Errorf("%s has the files %q, want %q", arch, names, want)
	}
	t.Logf("the image for linux/%s: %d bytes, compressed %d; the limit is %d", arch, size, compressed, maxImage)
	if size > maxImage {
		t.Errorf("the image for %s is too large", arch)
	}
	if !bytes.Contains(files["gatepass"], []byte(version)) {
		t.Errorf("%s does not know its version", arch)
	}
	program, err := elf.NewFile(bytes.NewReader(files["gatepass"]))
	worldtest.Must(t, err)
	if libraries, err := program.ImportedLibraries(); program.Machine != machine || err == nil && len(libraries) > 0 {
		t.Errorf("%s: the program is for %s, with the libraries %q", arch, program.Machine, libraries)
	}
	bundle, err := os.ReadFile(w.bundle)
	worldtest.Must(t, err)
	if !bytes.Equal(files["etc/ssl/certs/ca-certificates.crt"], bundle) {
		t.Errorf("%s has other authorities", arch)
	}
}

// untar returns the regular files of an archive by name.
func untar(t *testing.T, from io.Reader) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for reader := tar.NewReader(from); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return files
		}
		worldtest.Must(t, err)
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if header.Mode&0o022 != 0 || header.Uid != 0 {
			t.Errorf("%s has mode %o and owner %d", header.Name, header.Mode, header.Uid)
		}
		data, err := io.ReadAll(reader)
		worldtest.Must(t, err)
		files[filepath.Clean(header.Name)] = data
	}
}
