package test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// postJoin joins with a new key. A status of 0 means that no answer came.
func postJoin(t *testing.T, url, idToken string) (status int, joinID string) {
	t.Helper()
	body, err := worldtest.SSHRequest("bitbucket", idToken)
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
