package test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const boundAudience = "https://join.example.com"

// boundRules take nothing but ID tokens that are bound, each for one join.
const boundRules = `
{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy], db_users: [app], jwt_audiences: ["https://vault.example.com"]}}}
---
{kind: bot, version: v1, metadata: {name: shop}, spec: {roles: [deployer]}}
---
kind: token
version: v2
metadata: {name: shop}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: shop
  bind: required
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    audience: ` + boundAudience + `
    allow:
      - {project_id: 00000000-0000-0000-0000-000000000003, vcs_origin: github.com/acme/shop}
`

// inJob is the client in a job, to be run.
func inJob(t *testing.T, job *worldtest.CircleCIJob, server string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(within(t, time.Minute), worldtest.Binary(t, "gatepass"), args...)
	cmd.Env = append(append(os.Environ(), job.Env...), "GATEPASS_SERVER="+server, "GATEPASS_TOKEN=shop", "GATEPASS_AUDIENCE="+boundAudience)
	return cmd
}

// boundJoin is what the record of a join says.
type boundJoin struct {
	ID     string `json:"join_id"`
	Code   string `json:"code"`
	Digest string `json:"digest"`
	Bound  string `json:"bound"`
}

func boundJoins(t *testing.T, w *worldtest.World) []boundJoin {
	t.Helper()
	var all []boundJoin
	must(t, json.Unmarshal([]byte(w.Ctl("joins", "ls", "--format", "json")), &all))
	return all
}

// TestTheClientBindsWhatItMints, whatever the command: each join has an ID token of its own,
// and several of one second are all granted, though a token is good for one join.
func TestTheClientBindsWhatItMints(t *testing.T) {
	w := worldtest.Local(t)
	w.Apply(boundRules)
	job, dir := w.CircleCI(t), t.TempDir()
	commands := [][]string{
		{"join", "--destination", filepath.Join(dir, "one")},
		{"join", "jwt", "--jwt-audience", "https://vault.example.com", "--destination", filepath.Join(dir, "two"),
			"--also", "database,destination=" + filepath.Join(dir, "three") + ",username=app"},
		{"start", "identity", "--oneshot", "--destination", filepath.Join(dir, "four")},
		{"exec", "--", "true"},
	}
	var wg sync.WaitGroup
	for _, args := range commands {
		wg.Go(func() {
			if out, err := inJob(t, job, w.URL, args...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
	wg.Wait()
	if minted := job.Minted(); len(minted) != len(commands) {
		t.Errorf("%d ID tokens were minted for %d joins", len(minted), len(commands))
	}
	joins := boundJoins(t, w)
	if len(joins) != len(commands) {
		t.Errorf("%d joins are recorded, want %d", len(joins), len(commands))
	}
	for _, j := range joins {
		if j.Code != "ok" || j.Digest == "" || j.Bound != j.Digest {
			t.Errorf("recorded %+v, want a join whose ID token is bound to it", j)
		}
	}
	if shown := w.Ctl("joins", "show", joins[0].ID); !strings.Contains(shown, "yes, to this request") {
		t.Errorf("joins show does not say that the ID token was bound:\n%s", shown)
	}
}

// TestAStolenBoundTokenOverHTTP: a thief on the way takes an ID token that nobody has used,
// and sends it with a key of his own. The job's own request is granted all the same.
func TestAStolenBoundTokenOverHTTP(t *testing.T) {
	w := worldtest.Local(t)
	w.Apply(boundRules)
	job, dir := w.CircleCI(t), t.TempDir()
	var taken []byte
	thief := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		taken, _ = io.ReadAll(in.Body)
		out.WriteHeader(http.StatusBadGateway)
	}))
	defer thief.Close()
	if out, err := inJob(t, job, thief.URL, "join", "--retry=false", "--destination", filepath.Join(dir, "id")).CombinedOutput(); err == nil {
		t.Fatalf("joined at the thief's:\n%s", out)
	}
	var honest api.JoinRequest
	must(t, json.Unmarshal(taken, &honest))

	stolen := honest
	mine := newJob(t)
	stolen.Credentials = []api.CredentialRequest{{Name: "ssh", Type: api.TypeSSH, PublicKey: mine.pub}}
	body, err := json.Marshal(stolen)
	must(t, err)
	status, answer := post(t, w.URL, body)
	var problem api.Problem
	must(t, json.Unmarshal(answer, &problem))
	if status != http.StatusUnauthorized || problem.Code != api.CodeIDTokenWrongRequest {
		t.Fatalf("the thief is answered %d %s", status, answer)
	}
	shown := w.Ctl("joins", "show", problem.JoinID)
	for _, want := range []string{string(api.CodeIDTokenWrongRequest), "to another request, sha256:"} {
		if !strings.Contains(shown, want) {
			t.Errorf("joins show does not say %q:\n%s", want, shown)
		}
	}

	// The client of a thief does not even send it.
	file := worldtest.Write(t, dir, "stolen", honest.IDToken)
	cmd := inJob(t, job, w.URL, "join", "--id-token-file", file, "--destination", filepath.Join(dir, "mine"))
	worldtest.Run(t, cmd).Failed(t, 1, "is bound to another request")

	if status, answer := post(t, w.URL, taken); status != http.StatusOK {
		t.Errorf("the job's own request is answered %d %s", status, answer)
	}
}

// TestAnUnboundTokenWhereOneMustBeBound says what to do.
func TestAnUnboundTokenWhereOneMustBeBound(t *testing.T) {
	w := worldtest.Local(t)
	w.Apply(boundRules)
	job, dir := w.CircleCI(t), t.TempDir()
	out, err := exec.Command("sh", "-c", `PATH="$1" circleci run oidc get --claims '{"aud":"`+boundAudience+`"}'`, "sh", strings.TrimPrefix(job.Env[1], "PATH=")).Output()
	must(t, err)
	file := worldtest.Write(t, dir, "token", string(out))
	cmd := inJob(t, job, w.URL, "join", "--id-token-file", file, "--destination", filepath.Join(dir, "id"))
	worldtest.Run(t, cmd).Failed(t, 3, "id_token_not_bound", "--audience", "--id-token-file")
	if joins := boundJoins(t, w); len(joins) != 1 || joins[0].Code != string(api.CodeIDTokenNotBound) {
		t.Errorf("recorded %+v", joins)
	}
}

func post(t *testing.T, url string, body []byte) (status int, answer []byte) {
	t.Helper()
	response, err := http.Post(url+api.PathJoin, "application/json", bytes.NewReader(body))
	must(t, err)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, answer
}
