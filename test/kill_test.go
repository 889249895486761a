package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// answered is a join that the service answered before it was killed.
type answered struct {
	id, idToken string
}

// SIGKILL during a load of joins loses no use and no record of any join that
// was answered, and used tokens stay used.
func TestKillServe(t *testing.T) {
	w := newWorld(t)
	s, issuer := w.Serve, w.Issuer
	s.Ctl("apply", "-f", write(t, t.TempDir(), "once.yaml", strings.ReplaceAll(rules, "  max_joins: 2\n", "")))
	var all []answered
	for range 3 {
		all = append(all, loadUntilKilled(t, s, issuer)...)
		s = worldtest.StartServe(t, s.Data)
	}
	if len(all) < 10 {
		t.Fatalf("only %d joins were answered: too few to tell anything", len(all))
	}
	t.Logf("%d joins were answered before three kills", len(all))

	store, err := sqlite.Open(t.Context(), s.Data, sqlite.Options{MustExist: true})
	must(t, err)
	defer store.Close()
	for _, a := range all {
		record, err := store.Join(t.Context(), a.id)
		if err != nil {
			t.Fatalf("the record of join %s: %v", a.id, err)
		}
		uses, err := store.Uses(t.Context(), record.IDToken)
		must(t, err)
		if len(uses) != 1 {
			t.Errorf("join %s: the claim has %d uses", a.id, len(uses))
		}
	}
	for _, a := range all {
		if status, _ := postJoin(t, s.URL, a.idToken); status != api.CodeIDTokenAlreadyUsed.Status() {
			t.Fatalf("a used ID token was answered with %d after the kill", status)
		}
	}
}

// loadUntilKilled joins from several clients at once, kills the server in the
// middle and returns the joins that were answered.
func loadUntilKilled(t *testing.T, s *worldtest.Serve, issuer *issuertest.Issuer) []answered {
	t.Helper()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		all  []answered
		stop = make(chan struct{})
	)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				token, err := issuer.Bitbucket(issuertest.BitbucketJob{})
				if err != nil {
					t.Error(err)
					return
				}
				if status, id := postJoin(t, s.URL, token); status == http.StatusOK {
					mu.Lock()
					all = append(all, answered{id, token})
					mu.Unlock()
				}
			}
		})
	}
	time.Sleep(700 * time.Millisecond)
	s.Stop(syscall.SIGKILL)
	close(stop)
	wg.Wait()
	return all
}

// postJoin joins with a new key. A status of 0 means that no answer came.
func postJoin(t *testing.T, url, idToken string) (status int, joinID string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	body, err := json.Marshal(api.JoinRequest{Token: "bitbucket", IDToken: idToken, Credentials: []api.CredentialRequest{
		{Name: "ssh", Type: api.TypeSSH, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))},
	}})
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	resp, err := http.Post(url+api.PathJoin, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	var answer api.JoinResponse
	if resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return 0, "" // cut off in the middle
	}
	return resp.StatusCode, answer.JoinID
}

// Commands work while serve runs on the same data.
func TestCommandsBesideServe(t *testing.T) {
	w := newWorld(t)
	s, issuer := w.Serve, w.Issuer
	token, err := issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	status, id := postJoin(t, s.URL, token)
	if status != http.StatusOK {
		t.Fatalf("joined with status %d", status)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "token"}, "bitbucket"},
		{[]string{"joins", "ls"}, id},
		{[]string{"joins", "show", id}, "allow[0] matched"},
		{[]string{"status"}, "running at " + s.URL},
		{[]string{"keys", "ls"}, "pinned"},
		{[]string{"host", "sign", "--principals", "web-1", newJob(t).key + ".pub"}, "cert-v01@openssh.com"},
	} {
		if out := s.Ctl(c.args...); !strings.Contains(out, c.want) {
			t.Errorf("gatepassctl %s does not say %q:\n%s", strings.Join(c.args, " "), c.want, out)
		}
	}
	// A lock holds for the next join, with no restart.
	s.Ctl("apply", "-f", write(t, t.TempDir(), "lock.yaml", "kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {all: true}, message: incident}"))
	token, err = issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	if status, _ := postJoin(t, s.URL, token); status != api.CodeLocked.Status() {
		t.Errorf("a locked join was answered with %d", status)
	}
	s.Ctl("rm", "lock/stop")
	if status, _ := postJoin(t, s.URL, token); status != http.StatusOK {
		t.Errorf("once the lock is gone a join is answered with %d", status)
	}
}
