package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/ctl/service"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TestBothStores tells every story of testdata/both twice: on a data directory, and
// on a stack. Each has a store of its own. [data] and [stack] tell them apart.
func TestBothStores(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("data", func(t *testing.T) { tellStories(t, issuer, dataStory) })
	t.Run("stack", func(t *testing.T) {
		cloud := worldtest.NeedCloud(t)
		var n atomic.Int32
		tellStories(t, issuer, func(env *testscript.Env) (story, error) {
			return newStackStory(cloud, fmt.Sprintf("story-%d", n.Add(1)), env)
		})
	})
}

// story is the service of one story.
type story interface {
	// start starts what answers joins, and returns where.
	start() (url string, err error)
	close()
}

type storyKey struct{}

func tellStories(t *testing.T, issuer *issuertest.Issuer, newStory func(*testscript.Env) (story, error)) {
	store := filepath.Base(t.Name())
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "both"),
		RequireExplicitExec: true,
		Condition: func(name string) (bool, error) {
			if name == "data" || name == "stack" {
				return name == store, nil
			}
			return false, fmt.Errorf("unknown condition %s", name)
		},
		Setup: func(env *testscript.Env) error {
			s, err := newStory(env)
			if err != nil {
				return err
			}
			env.Defer(s.close)
			env.Values[storyKey{}] = s
			return writeFixtures(env.WorkDir, issuer)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode":    checkMode,
			"service": startService,
			"mint":    mintToken(issuer),
			"join":    joinByScript,

			"certificate": writeCertificate,
		},
	})
}

// localStory is one on a data directory.
type localStory struct {
	data   string
	server *service.Server
	ended  chan error
	stop   context.CancelFunc
}

func dataStory(env *testscript.Env) (story, error) {
	return &localStory{data: filepath.Join(env.WorkDir, "data")}, beginData(env)
}

func (s *localStory) start() (string, error) {
	server, err := service.Open(context.Background(), service.Config{Data: s.data, Listen: "127.0.0.1:0", Now: time.Now, Log: ctl.Quiet()})
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.server, s.stop, s.ended = server, stop, make(chan error, 1)
	go func() { s.ended <- server.Run(ctx) }()
	return server.URL(), nil
}

func (s *localStory) close() {
	if s.server == nil {
		return
	}
	s.stop()
	<-s.ended
}

// stackStory is one on a stack.
type stackStory struct{ *worldtest.Stack }

func newStackStory(cloud *worldtest.Cloud, name string, env *testscript.Env) (story, error) {
	s, err := cloud.NewStack(context.Background(), name)
	if err != nil {
		return nil, err
	}
	env.Vars = append(env.Vars, cloud.Env()...)
	env.Setenv("GATEPASS_STACK", name)
	env.Setenv("STORE", "stack "+name+" (123456789012/eu-central-1)") // as changes name it
	return &stackStory{s}, nil
}

func (s *stackStory) start() (string, error) { return s.URL, s.StartService() }
func (s *stackStory) close()                 { s.Close() }

// startService starts the service of the story: service. Its URL is $SERVICE.
func startService(ts *testscript.TestScript, _ bool, _ []string) {
	url, err := ts.Value(storyKey{}).(story).start()
	ts.Check(err)
	ts.Setenv("SERVICE", url)
}

// mintToken writes an ID token of a new job: mint FILE bitbucket|circleci [BRANCH].
func mintToken(issuer *issuertest.Issuer) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		if len(args) < 2 {
			ts.Fatalf("usage: mint FILE bitbucket|circleci [BRANCH]")
		}
		branch := strings.Join(args[2:], "")
		token, err := issuer.Bitbucket(issuertest.BitbucketJob{BranchName: branch})
		if args[1] == "circleci" {
			token, err = issuer.CircleCI(issuertest.CircleCIJob{})
		}
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(token), 0o600))
	}
}

// joinByScript asks the started service for an SSH certificate and writes its answer:
// [!] join TOKEN ID-TOKEN-FILE ANSWER-FILE. The join id of either is $JOIN_ID.
func joinByScript(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: join TOKEN ID-TOKEN-FILE ANSWER-FILE")
	}
	status, answer, err := askToJoin(ts.Getenv("SERVICE"), args[0], ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), answer, 0o600))
	var id struct {
		JoinID string `json:"join_id"`
	}
	if err := json.Unmarshal(answer, &id); err != nil {
		ts.Fatalf("the service answered %d %.300s", status, answer)
	}
	ts.Setenv("JOIN_ID", id.JoinID)
	if granted := status == http.StatusOK; granted == neg {
		ts.Fatalf("the join came to %d: %s", status, answer)
	}
}

func askToJoin(url, token, idToken string) (status int, answer []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, nil, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return 0, nil, err
	}
	method := api.MethodBitbucket
	if strings.Contains(token, "circle") {
		method = api.MethodCircleCI
	}
	body, err := json.Marshal(api.JoinRequest{
		Token: token, JoinMethod: method, IDToken: strings.TrimSpace(idToken), RetryKey: rand.Text(),
		Credentials: []api.CredentialRequest{{Name: "ssh", Type: api.TypeSSH, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))}},
	})
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.Post(url+api.PathJoin, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

// writeCertificate writes the SSH certificate of an answer: certificate ANSWER FILE.
func writeCertificate(ts *testscript.TestScript, _ bool, args []string) {
	var answer api.JoinResponse
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &answer))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(answer.Credentials[0].Certificate+"\n"), 0o600))
}
