package revoke

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// TestFetchKeepsWhatItHas: whatever a host is answered, its list stays or is replaced
// by another list, whole.
func TestFetchKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	real := local(t)
	fetchReal := func(list, file string) {
		t.Helper()
		if out, ok := real.fetch(t, list, file); !ok || out != file+" has changed\n" {
			t.Fatalf("the script: %q", out)
		}
	}
	other := local(t)
	ca := worldtest.Write(t, t.TempDir(), "ca.pem", other.Ctl("ca", "export", "--type", "x509-database"))
	answers := map[string]http.HandlerFunc{
		"a problem of the service": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"code":"store_unavailable"}`, http.StatusServiceUnavailable)
		},
		"a page of something else": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>Welcome</html>\n")) },
		"nothing":                  func(http.ResponseWriter, *http.Request) {},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, real.URL+r.URL.Path, http.StatusFound)
		},
		"half of a list": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte("SSHKRL\n\x00"))
		},
	}
	for _, list := range []string{"ssh.krl", "x509-database.crl"} {
		file := filepath.Join(t.TempDir(), "revoked")
		fetchReal(list, file)
		before, err := os.ReadFile(file)
		worldtest.Must(t, err)
		for name, answer := range answers {
			t.Run(list+" "+name, func(t *testing.T) {
				server := httptest.NewServer(answer)
				defer server.Close()
				fails(t, &world{&worldtest.World{URL: server.URL}}, file, before, list)
			})
		}
		t.Run(list+" nobody answers", func(t *testing.T) { fails(t, &world{&worldtest.World{URL: "http://127.0.0.1:1"}}, file, before, list) })
		t.Run(list+" without TLS", func(t *testing.T) { fails(t, &world{&worldtest.World{URL: "http://example.com"}}, file, before, list) })
		if list != "ssh.krl" {
			t.Run(list+" of another authority", func(t *testing.T) { fails(t, real, file, before, list, ca) })
		}
	}
	own := worldtest.Write(t, t.TempDir(), "ca.pem", real.Ctl("ca", "export", "--type", "x509-database"))
	file := filepath.Join(t.TempDir(), "new.crl")
	if out, ok := real.fetch(t, "x509-database.crl", file, own); !ok {
		t.Fatalf("with the right authority: %s", out)
	}
	before, err := os.ReadFile(file)
	worldtest.Must(t, err)
	spoiled := append(bytes.Clone(before), before...)       // a CRL of each key, as during a rotation
	i := bytes.LastIndex(spoiled, []byte("\n-----END")) - 8 // within the signature of the second
	spoiled[i] = map[bool]byte{true: 'B', false: 'A'}[spoiled[i] == 'A']
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(spoiled) }))
	defer server.Close()
	fails(t, &world{&worldtest.World{URL: server.URL}}, file, before, "x509-database.crl", own)

	slash := &world{&worldtest.World{URL: real.URL + "/"}}
	if out, ok := slash.fetch(t, "ssh.krl", filepath.Join(t.TempDir(), "revoked.krl")); !ok {
		t.Errorf("with a slash after the address: %s", out)
	}
}

// fails runs the script, which must fail, say why, and leave the file and nothing else.
func fails(t *testing.T, w *world, file string, before []byte, list string, more ...string) {
	t.Helper()
	out, ok := w.fetch(t, append([]string{list, file}, more...)...)
	if ok || strings.TrimSpace(out) == "" {
		t.Errorf("it succeeded: %t, and said %q", ok, out)
	}
	after, err := os.ReadFile(file)
	worldtest.Must(t, err)
	if string(after) != string(before) {
		t.Error("the list was changed")
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
