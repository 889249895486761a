package rotation

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// All authorities are rotated, back and forth, while jobs join.
func TestRotationUnderLoad(t *testing.T) {
	for name, newWorld := range map[string]func(*testing.T) *world{"data": dataWorld, "stack": stackWorld} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRotation(t, newWorld(t))
		})
	}
}

// lists are what servers and clients trust, as they are brought it after a phase.
type lists struct {
	user, knownHosts string
	x509             map[string]string
	kids             []string
}

func (w *world) export(t *testing.T) lists {
	t.Helper()
	l := lists{user: w.Ctl("ca", "export", "--type", "ssh-user"), x509: map[string]string{},
		knownHosts: w.Ctl("ca", "export", "--type", "ssh-host", "--hosts", "*")}
	if published := w.read(t, api.PathAuthorities+"/ssh-user.pub"); published != l.user {
		t.Errorf("published is\n%s and exported\n%s", published, l.user)
	}
	for _, usage := range usages {
		l.x509[usage] = w.Ctl("ca", "export", "--type", "x509-"+usage)
		if published := w.read(t, api.PathAuthorities+"/x509-"+usage+".pem"); published != l.x509[usage] {
			t.Errorf("of %s published is\n%s and exported\n%s", usage, published, l.x509[usage])
		}
	}
	var set struct{ Keys []struct{ KID string } }
	must(t, json.Unmarshal([]byte(w.read(t, api.PathJWKS)), &set))
	for _, k := range set.Keys {
		l.kids = append(l.kids, k.KID)
	}
	for name, n := range map[string]int{"ssh-host": lines(l.knownHosts), "jwt": len(l.kids), "x509-database": lines(l.x509["database"])} {
		if n != lines(l.user) {
			t.Errorf("of %s %d keys are trusted, and of ssh-user %d", name, n, lines(l.user))
		}
	}
	return l
}

var usages = []string{api.UsageIdentity, api.UsageDatabase, api.UsageApplication, api.UsageKubernetes}

// host is an SSH host's certificate of a time.
type host struct {
	key         ed25519.PrivateKey
	certificate string
}

func (w *world) signHost(t *testing.T) host {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	line, err := ssh.NewPublicKey(public)
	must(t, err)
	file := worldtest.Write(t, t.TempDir(), "host.pub", string(ssh.MarshalAuthorizedKey(line)))
	return host{key, w.Ctl("host", "sign", "--principals", "localhost", file)}
}

func testRotation(t *testing.T, w *world) {
	load := w.startLoad(t, 2)
	oldJob := load.await(t, 3)[0]
	oldHost, before := w.signHost(t), w.export(t)

	step := func(s authority.Step, signer, kid string) []*joined {
		t.Helper()
		w.rotate(s)
		some := load.await(t, 2*instances)
		for _, j := range some {
			if signer != "" && (j.signer() != signer || j.kid() != kid) || signer == "" && (j.signer() == oldJob.signer() || j.kid() == oldJob.kid()) {
				t.Errorf("after phase %s a job has a certificate of %s and a JWT of %s", s, j.signer(), j.kid())
			}
		}
		return some
	}
	step(authority.StepAnnounce, oldJob.signer(), oldJob.kid())
	announced := w.export(t)
	newJob := step(authority.StepSign, "", "")[0]
	newHost, switched := w.signHost(t), w.export(t)
	// Not what was hoped for: back, and on again.
	step(authority.StepBack, oldJob.signer(), oldJob.kid())
	step(authority.StepSign, newJob.signer(), newJob.kid())
	last := step(authority.StepFinish, newJob.signer(), newJob.kid())
	finished := w.export(t)
	load.end()

	all := load.between(time.Time{}, time.Now())
	t.Logf("%d joins, none of which failed", len(all))
	for name, c := range map[string]struct {
		list lists
		keys int
	}{"before": {before, 1}, "phase 1": {announced, 2}, "phase 2": {switched, 2}, "phase 3": {finished, 1}} {
		if got := lines(c.list.user); got != c.keys {
			t.Errorf("%s: %d keys are trusted, want %d", name, got, c.keys)
		}
	}
	// Whoever was brought the list of phase 1 accepts every job from then to the end.
	for _, j := range all {
		if !strings.Contains(announced.user, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(j.ssh.SignatureKey)))) || !slices.Contains(announced.kids, j.kid()) {
			t.Fatalf("a job has a certificate of %s, which the list of phase 1 does not have", j.signer())
		}
		for usage, leaf := range j.leaves {
			if err := verify(leaf, announced.x509[usage]); err != nil {
				t.Fatalf("by the list of phase 1 a job's certificate for %s is refused: %v", usage, err)
			}
		}
	}
	if got := last[len(last)-1].authorities.SSHHost; len(got) != 1 || !strings.Contains(finished.knownHosts, got[0]) {
		t.Errorf("after phase 3 jobs are told of the host authorities %q", got)
	}
	t.Run("sshd", func(t *testing.T) { testSSHD(t, before, announced, switched, finished, oldJob, newJob) })
	t.Run("known_hosts", func(t *testing.T) { testHosts(t, before, announced, finished, oldHost, newHost, newJob) })
	t.Run("openssl", func(t *testing.T) { testOpenSSL(t, before, announced, switched, finished, oldJob, newJob) })
}

// testSSHD has a real sshd hold to the lists.
func testSSHD(t *testing.T, before, announced, switched, finished lists, oldJob, newJob *joined) {
	for name, c := range map[string]struct {
		list     lists
		old, new bool // whether it is let in
	}{
		"before":  {before, true, false},
		"phase 1": {announced, true, true},
		"phase 2": {switched, true, true},
		"phase 3": {finished, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := sshdtest.Start(t.Context(), sshdtest.Config{TrustedUserCAKeys: c.list.user, Logins: []string{"deploy"}})
			needServer(t, err)
			defer server.Close()
			for what, j := range map[string]struct {
				*joined
				want bool
			}{"old": {oldJob, c.old}, "new": {newJob, c.new}} {
				if err := login(server, j.joined); (err == nil) != j.want {
					t.Errorf("the %s key's certificate: %v; let in: want %t\n%s", what, err, j.want, server.Log())
				}
			}
		})
	}
}

// needServer skips where there is no sshd, or in CI fails.
func needServer(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		worldtest.Need(t, "sshd")
		t.Fatal(err)
	}
}

func login(server *sshdtest.Server, j *joined) error {
	signer, err := ssh.NewSignerFromKey(j.key)
	if err != nil {
		return err
	}
	certified, err := ssh.NewCertSigner(j.ssh, signer)
	if err != nil {
		return err
	}
	client, err := ssh.Dial("tcp", server.Addr(), &ssh.ClientConfig{
		User: "deploy", Auth: []ssh.AuthMethod{ssh.PublicKeys(certified)}, HostKeyCallback: ssh.FixedHostKey(server.HostKey()), Timeout: 20 * time.Second,
	})
	if err != nil {
		return err
	}
	return client.Close()
}

// testHosts has a real ssh hold to the lines of known_hosts.
func testHosts(t *testing.T, before, announced, finished lists, oldHost, newHost host, job *joined) {
	client := worldtest.Need(t, "ssh")
	dir := t.TempDir()
	block, err := ssh.MarshalPrivateKey(job.key, "")
	must(t, err)
	worldtest.Write(t, dir, "key", string(pem.EncodeToMemory(block)))
	worldtest.Write(t, dir, "key-cert.pub", string(ssh.MarshalAuthorizedKey(job.ssh)))
	for what, h := range map[string]struct {
		host
		before, announced, finished bool // whether it is known
	}{
		"old": {oldHost, true, true, false},
		"new": {newHost, false, true, true},
	} {
		server, err := sshdtest.Start(t.Context(), sshdtest.Config{TrustedUserCAKeys: finished.user, Logins: []string{"deploy"}, HostKey: h.key, HostCertificate: h.certificate})
		needServer(t, err)
		defer server.Close()
		_, port, _ := strings.Cut(server.Addr(), ":")
		for name, c := range map[string]struct {
			list lists
			want bool
		}{"before": {before, h.before}, "phase 1": {announced, h.announced}, "phase 3": {finished, h.finished}} {
			known := worldtest.Write(t, t.TempDir(), "known_hosts", c.list.knownHosts)
			cmd := exec.CommandContext(t.Context(), client, "-F", "none", "-p", port, "-i", filepath.Join(dir, "key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
				"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+known, "-o", "GlobalKnownHostsFile=/dev/null", "deploy@localhost", "echo", "hello")
			out, err := cmd.CombinedOutput()
			if got := err == nil && strings.Contains(string(out), "hello"); got != c.want {
				t.Errorf("%s: a host with a certificate of the %s key: %v, want it known: %t\n%s", name, what, err, c.want, out)
			}
		}
	}
}

// testOpenSSL has openssl verify hold to the lists.
func testOpenSSL(t *testing.T, before, announced, switched, finished lists, oldJob, newJob *joined) {
	openssl := worldtest.Need(t, "openssl")
	dir := t.TempDir()
	for _, usage := range usages {
		files := map[string]string{
			"old": worldtest.Write(t, dir, usage+"-old.pem", oldJob.leaves[usage]),
			"new": worldtest.Write(t, dir, usage+"-new.pem", newJob.leaves[usage]),
		}
		for name, c := range map[string]struct {
			list     lists
			old, new bool
		}{
			"before": {before, true, false}, "phase 1": {announced, true, true}, "phase 2": {switched, true, true}, "phase 3": {finished, false, true},
		} {
			list := worldtest.Write(t, t.TempDir(), "list.pem", c.list.x509[usage])
			for what, want := range map[string]bool{"old": c.old, "new": c.new} {
				out, err := exec.CommandContext(t.Context(), openssl, "verify", "-purpose", "sslclient", "-no-CApath", "-no-CAstore", "-CAfile", list, files[what]).CombinedOutput()
				if (err == nil) != want {
					t.Errorf("%s, %s: openssl verify of the %s key's certificate: %v, want it accepted: %t\n%s", usage, name, what, err, want, out)
				}
			}
		}
	}
}
