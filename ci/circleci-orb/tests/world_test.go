package tests

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// version is the release that the tests install; test/release builds the same.
const version = "9.9.9"

// audience is that of docs/circleci.md's rule.
const audience = "https://join.example.com"

// world is a service with the rules of docs/circleci.md, a host that trusts it, a release
// to be installed, and what mints ID tokens of CircleCI.
type world struct {
	*worldtest.World
	host     *sshdtest.Server
	files    string // served as RELEASES/files
	dist     string // a release of this commit for this platform
	releases *httptest.Server
	mint     *httptest.Server
	path     string // PATH of the jobs, with circleci in it
	job      issuertest.CircleCIJob
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, program := range []string{"make", "bash", "curl", "sha256sum", "ssh", "git"} {
		worldtest.Need(t, program)
	}
	w := &world{World: worldtest.Local(t), dist: release(t), files: t.TempDir(), job: issuertest.NewCircleCIJob()}
	w.Apply(blocks(t, "# rules.yaml")[0], "--strict")
	w.host = w.SSHD(t, "127.0.0.1")

	w.releases = httptest.NewServer(w.serveReleases(t))
	t.Cleanup(w.releases.Close)
	w.mint = httptest.NewServer(http.HandlerFunc(w.serveTokens))
	t.Cleanup(w.mint.Close)

	bin := filepath.Join(t.TempDir(), "bin")
	worldtest.Must(t, os.Mkdir(bin, 0o755))
	self, err := os.Executable()
	worldtest.Must(t, err)
	worldtest.Must(t, os.Symlink(self, filepath.Join(bin, "circleci")))
	w.path = bin + ":/usr/local/bin:/usr/bin:/bin"
	return w
}

// release builds what `make release` has for this platform that the orb needs.
func release(t *testing.T) string {
	t.Helper()
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	dist := filepath.Join(t.TempDir(), "dist")
	worldtest.Output(t, "make", "-s", "-C", root, "orb", "DIST="+dist, "VERSION="+version, "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
	return dist
}

// client is the name of the client of this platform.
func client() string { return "gatepass_" + version + "_" + runtime.GOOS + "_" + runtime.GOARCH }

func (w *world) port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(w.host.Addr())
	worldtest.Must(t, err)
	return port
}

// serveReleases serves releases as GitHub does, /good/vVERSION/FILE, and two that are not
// what they should be: /tampered, a program that leaves a trace when it is run, and /short.
func (w *world) serveReleases(t *testing.T) http.Handler {
	t.Helper()
	binary, err := os.ReadFile(filepath.Join(w.dist, client()))
	worldtest.Must(t, err)
	mux := http.NewServeMux()
	answer := func(content []byte) http.HandlerFunc {
		return func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(content) }
	}
	mux.HandleFunc("/good/v"+version+"/"+client(), answer(binary))
	mux.HandleFunc("/tampered/v"+version+"/"+client(), answer([]byte("#!/bin/sh\ntouch \"$HOME/it-ran\"\n")))
	mux.HandleFunc("/short/v"+version+"/"+client(), answer(binary[:len(binary)/2]))
	// What a test puts into this folder, such as a release with its signature.
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(w.files))))
	mux.HandleFunc("/moved/", func(out http.ResponseWriter, in *http.Request) {
		http.Redirect(out, in, "/good/"+strings.TrimPrefix(in.URL.Path, "/moved/"), http.StatusFound)
	})
	return mux
}

func (w *world) serveTokens(out http.ResponseWriter, in *http.Request) {
	job := w.job
	job.Audience = []string{in.FormValue("aud")}
	token, err := w.Issuer.CircleCI(job)
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = out.Write([]byte(token))
}

// environment is what CircleCI gives every job, and where the stand-ins are.
func (w *world) environment(t *testing.T) []string {
	t.Helper()
	token, err := w.Issuer.CircleCI(w.job)
	worldtest.Must(t, err)
	return []string{"PATH=" + w.path, "CIRCLE_OIDC_TOKEN_V2=" + token, "CIRCLE_OIDC_TOKEN=" + token, mintVariable + "=" + w.mint.URL}
}

// secrets are what no output and no file that a job leaves may hold: private keys and tokens.
var secrets = regexp.MustCompile(`PRIVATE KEY|eyJ[\w-]+\.eyJ`)

// left returns the files below dir that hold secrets, and those of a name that says so.
func left(t *testing.T, dir string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "grep", "-rlE", "PRIVATE KEY|eyJ[A-Za-z0-9_-]+\\.eyJ", dir).Output()
	if err != nil && len(out) > 0 {
		t.Fatal(err)
	}
	var files []string
	for line := range strings.Lines(string(out)) {
		// A client has the words in its code.
		if name := strings.TrimSpace(line); !strings.HasPrefix(filepath.Base(name), "gatepass") {
			files = append(files, name)
		}
	}
	return files
}

// blocks returns the YAML blocks of docs/circleci.md that begin with the line.
func blocks(t *testing.T, first string) []string {
	t.Helper()
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	raw, err := os.ReadFile(filepath.Join(root, "docs/circleci.md"))
	worldtest.Must(t, err)
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(raw), -1) {
		if strings.HasPrefix(m[1], first+"\n") {
			found = append(found, m[1])
		}
	}
	if len(found) == 0 {
		t.Fatalf("docs/circleci.md has no block %s", first)
	}
	return found
}
