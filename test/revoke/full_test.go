package revoke

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TestAFullListKeepsNothingElseFromBeingRevoked has room for three more certificates in the
// X.509 lists, and a bot with nine. What fits is revoked, for ssh-keygen, openssl and the
// service; what does not is named, and the command fails.
func TestAFullListKeepsNothingElseFromBeingRevoked(t *testing.T) {
	t.Parallel()
	sshKeygen, openssl := worldtest.Need(t, "ssh-keygen"), worldtest.Need(t, "openssl")
	w := local(t)
	fill(t, w.Serve.Data, cert.X509Application, authority.MaxRevokedX509-3)
	set := w.Join(t, "example-bot", "identity")
	idToken, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
	worldtest.Must(t, err)
	body, err := json.Marshal(fullRequest(t, idToken)) // 8 of x509-database, 7 of ssh-user
	worldtest.Must(t, err)
	resp, err := http.Post(w.URL+api.PathJoin, "application/json", bytes.NewReader(body))
	worldtest.Must(t, err)
	_ = resp.Body.Close()

	dir := t.TempDir()
	krl, crl := filepath.Join(dir, "revoked.krl"), filepath.Join(dir, "revoked.crl")
	ran := worldtest.Run(t, w.CtlCommand("revoke", "bot", "example", "--krl", krl, "--crl", crl))
	ran.Failed(t, 1, "8 certificates are not revoked: the lists are full", "gatepassctl ca rotate --type x509-database --phase 1 --data "+w.Serve.Data)
	for _, want := range []string{"revoked 9 certificates of bot/example", "not revoked, since the lists are full:\n  x509-database  8 certificates  the last ends at "} {
		if !strings.Contains(ran.Stdout, want) {
			t.Errorf("standard output lacks %q:\n%s", want, ran.Stdout)
		}
	}
	if out, _ := exec.CommandContext(t.Context(), sshKeygen, "-Q", "-f", krl, set+"/key-cert.pub").CombinedOutput(); !bytes.Contains(out, []byte("REVOKED")) {
		t.Errorf("ssh-keygen says %s", out)
	}
	if out := worldtest.Output(t, sshKeygen, "-Q", "-l", "-f", krl); strings.Count(out, "serial: ") != 8 {
		t.Errorf("the KRL has %d serials, want 8", strings.Count(out, "serial: "))
	}
	verify, _ := exec.CommandContext(t.Context(), openssl, "verify", "-crl_check", "-CAfile", set+"/ca.pem", "-CRLfile", crl, set+"/tlscert").CombinedOutput()
	if !bytes.Contains(verify, []byte("certificate revoked")) {
		t.Errorf("openssl says %s", verify)
	}
	until(t, "the service's list lacks what was revoked", func() bool {
		served := filepath.Join(dir, "served.krl")
		if out, ok := w.fetch(t, "ssh.krl", served); !ok {
			t.Fatal(out)
		}
		out, _ := exec.CommandContext(t.Context(), sshKeygen, "-Q", "-f", served, set+"/key-cert.pub").CombinedOutput()
		return bytes.Contains(out, []byte("REVOKED"))
	})

	// Again, for machines: what is missing is missing still, and what was revoked is.
	again := worldtest.Run(t, w.CtlCommand("revoke", "bot", "example", "--format", "json"))
	again.Failed(t, 1, "8 certificates are not revoked")
	var answer struct {
		Added   int                 `json:"added"`
		LeftOut []authority.LeftOut `json:"left_out"`
	}
	worldtest.Must(t, json.Unmarshal([]byte(again.Stdout), &answer))
	if l := answer.LeftOut; answer.Added != 0 || len(l) != 1 || l[0].Authority != cert.X509Database || l[0].Certificates != 8 || !l[0].Until.After(time.Now()) {
		t.Errorf("answered %+v", answer)
	}
}

// fill revokes n certificates of an authority that nobody has.
func fill(t *testing.T, data string, p cert.Purpose, n int) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), data, sqlite.Options{})
	worldtest.Must(t, err)
	defer s.Close()
	r := store.Revocation{ID: "filler", At: time.Now(), By: "test"}
	for i := range n {
		r.Certificates = append(r.Certificates, store.RevokedCertificate{Authority: p, Serial: fmt.Sprintf("%x", i+1), ExpiresAt: time.Now().Add(time.Hour)})
	}
	_, err = s.Revoke(t.Context(), []store.Revocation{r})
	worldtest.Must(t, err)
}
