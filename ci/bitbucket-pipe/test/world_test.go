// Package test runs the image of the Bitbucket pipe as Bitbucket does: beside a step, in
// a container of its own that shares the clone with it. The image is built from this
// commit by tools/pipe.sh, and run by podman.
package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

// Names that have certificates here, and the version that is released.
const (
	join     = "join.example.com"
	releases = "github.com"
	version  = "1.2.3-test"
)

const rules = `
kind: role
version: v7
metadata: {name: everything}
spec:
  allow:
    logins: [deploy]
    db_users: [app]
    db_names: [orders]
    jwt_audiences: ["https://vault.example.com"]
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [everything]}
---
kind: token
version: v2
metadata: {name: example-bot}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: https://join.example.com
    allow: [{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}", branch_name: main}]
`

// world is a service, hosts that trust it, and the pipe's image.
type world struct {
	*worldtest.World
	dir  string // that every user can enter
	root string // of the repository

	server   string // the service's URL
	private  string // the same, with a certificate that only privateCA vouches for
	releases string // where a release's client is
	bundle   string // authorities that the image trusts, and the step's programs

	web   []*sshdtest.Server // web-1 and web-2, with certificates for their names
	plain *sshdtest.Server   // has none
	port  string             // of web-1 and web-2, each at an address of its own
	hosts string             // a hosts(5) file with their names

	podman  []string // the command, with its storage
	environ []string // for it
	archive string   // the image as it is published
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, tool := range []string{"podman", "buildah", "runc", "unshare", "setpriv", "ssh", "git"} {
		worldtest.Need(t, tool)
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("the pipe is run as root, as Bitbucket runs it")
		}
		t.Skip("skipped: needs root, as Bitbucket runs a pipe")
	}
	dir, err := os.MkdirTemp("", "gatepass-test-pipe-")
	worldtest.Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	worldtest.Must(t, os.Chmod(dir, 0o755))
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	w := &world{World: worldtest.Local(t), dir: dir, root: root}
	w.Apply(rules)
	behind, err := url.Parse(w.URL)
	worldtest.Must(t, err)
	service := httputil.NewSingleHostReverseProxy(behind)
	public := newAuthority(t)
	w.server = w.front(t, public, join, service)
	w.private = w.front(t, newAuthority(t), join, service)
	w.releases = w.front(t, public, releases, http.HandlerFunc(func(to http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/gatepass-ci/gatepass/releases/download/v"+version+"/gatepass_"+version+"_linux_amd64" {
			http.NotFound(to, request)
			return
		}
		http.ServeFile(to, request, worldtest.Binary(t, "gatepass"))
	}))
	w.trust(t, public)
	w.startHosts(t)
	w.build(t)
	return w
}

// trust makes the bundle: this machine's authorities, as in the published image, and ours.
func (w *world) trust(t *testing.T, ca *authority) {
	t.Helper()
	system, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	worldtest.Must(t, err)
	w.bundle = filepath.Join(w.dir, "ca-certificates.crt")
	worldtest.Must(t, os.WriteFile(w.bundle, append(system, ca.pem...), 0o644))
}

// startHosts starts the servers to deploy to. Both listen on one port, each at an
// address of its own, as hosts do.
func (w *world) startHosts(t *testing.T) {
	t.Helper()
	w.web = []*sshdtest.Server{w.SSHD(t, "web-1.example.com,host.example.com"), w.SSHD(t, "web-2.example.com")}
	w.plain = w.SSHD(t, "")
	first, err := net.Listen("tcp", "127.0.0.2:0")
	worldtest.Must(t, err)
	_, w.port, err = net.SplitHostPort(first.Addr().String())
	worldtest.Must(t, err)
	second, err := net.Listen("tcp", "127.0.0.3:"+w.port)
	worldtest.Must(t, err)
	forward(t, first, w.web[0].Addr())
	forward(t, second, w.web[1].Addr())
	w.hosts = filepath.Join(w.dir, "hosts")
	worldtest.Must(t, os.WriteFile(w.hosts, []byte("127.0.0.1 localhost "+join+" "+releases+"\n"+
		"127.0.0.2 web-1.example.com host.example.com\n127.0.0.3 web-2.example.com\n"), 0o644))
}

// forward passes connections on.
func forward(t *testing.T, from net.Listener, to string) {
	t.Helper()
	t.Cleanup(func() { from.Close() })
	go func() {
		for {
			in, err := from.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go func() {
					_, _ = io.Copy(out, in)
					_ = out.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
}

// authority is one that web servers' certificates are signed by.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	worldtest.Must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web " + rand.Text()}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	worldtest.Must(t, err)
	cert, err := x509.ParseCertificate(der)
	worldtest.Must(t, err)
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// front serves something by https under a name, and returns its URL.
func (w *world) front(t *testing.T, ca *authority, name string, what http.Handler) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	worldtest.Must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: ca.cert.NotBefore, NotAfter: ca.cert.NotAfter,
	}, ca.cert, key.Public(), ca.key)
	worldtest.Must(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	worldtest.Must(t, err)
	server := &http.Server{
		Handler: what, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // a client that distrusts it is part of a test
	}
	t.Cleanup(func() { server.Close() })
	go func() { _ = server.Serve(listener) }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	worldtest.Must(t, err)
	worldtest.Must(t, os.WriteFile(filepath.Join(w.dir, "ca-"+port+".pem"), ca.pem, 0o644))
	return "https://" + name + ":" + port
}

// privateCA is the authority of the service's other address, in PEM.
func (w *world) privateCA(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "ca-"+w.private[strings.LastIndexByte(w.private, ':')+1:]+".pem"))
	worldtest.Must(t, err)
	return raw
}

// containersConf has podman keep to what a container-like machine without a daemon or
// systemd offers, and to limits that root may set there.
const containersConf = `
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
`

// make runs `make pipe` into a folder.
func (w *world) make(t *testing.T, dir string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", "--silent", "pipe", "DIST="+dir, "VERSION="+version)
	cmd.Dir = w.root
	cmd.Env = append(os.Environ(), "CA_CERTIFICATES="+w.bundle, "SOURCE_DATE_EPOCH=1767225600", "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make pipe: %v\n%s", err, out)
	}
	return out
}

// ownCgroups runs a command where there are cgroups that runc can write to: in a container
// or a chroot there may be none, or a read-only view. The mounts are gone with the command.
const ownCgroups = `mountpoint -q /sys || mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup || true
exec "$@"`

// build makes the archive as `make pipe` does, and loads this machine's image of it into
// a storage of its own.
func (w *world) build(t *testing.T) {
	t.Helper()
	out := w.make(t, w.dir)
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "pipe: ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	w.archive = filepath.Join(w.dir, "gatepass-pipe.oci.tar")
	storage := filepath.Join(w.dir, "podman")
	conf := worldtest.Write(t, w.dir, "containers.conf", containersConf)
	w.environ = append(os.Environ(), "CONTAINERS_CONF="+conf)
	w.podman = []string{
		"unshare", "--mount", "--propagation", "private", "sh", "-c", ownCgroups, "sh",
		"podman", "--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"), "--tmpdir", filepath.Join(storage, "tmp"),
		"--storage-driver", "vfs",
	}
	load := exec.CommandContext(t.Context(), w.podman[0], append(w.podman[1:], "load", "--quiet", "--input", w.archive)...)
	load.Env = w.environ
	if out, err := load.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(image)) {
		t.Fatalf("loading the image: %v\n%s", err, out)
	}
}

// image is the name under which an archive is loaded.
const image = "localhost/latest:latest"
