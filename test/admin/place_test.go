package admin

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

// stories hold on both stores, each on one of its own.
var stories = map[string]func(*place){
	"a thousand token rules": thousandTokens,
	"edited at once":         editedAtOnce,
	"killed":                 killedInTheMiddle,
}

func TestData(t *testing.T) {
	for name, tell := range stories {
		t.Run(name, func(t *testing.T) { tell(onData(t)) })
	}
}

func TestStack(t *testing.T) {
	cloud := worldtest.SharedCloud(t)
	for name, tell := range stories {
		t.Run(name, func(t *testing.T) {
			s, err := cloud.NewStack(t.Context(), "admin-"+strings.ReplaceAll(name, " ", "-"))
			worldtest.Must(t, err)
			t.Cleanup(s.Close)
			tell(onStack(t, s))
		})
	}
}

// place is an empty store and gatepassctl on it.
type place struct {
	t *testing.T
	// command is gatepassctl, to be run.
	command func(args ...string) *exec.Cmd
	// open opens the store behind the command's back.
	open func() (store.Resources, func() error)
	// kill runs a command and kills it in the middle, in the way that round tells.
	// It reports whether the command was killed before it ended.
	kill func(cmd *exec.Cmd, round int) bool
}

func onData(t *testing.T) *place {
	dir := filepath.Join(t.TempDir(), "data")
	worldtest.Begin(t, dir)
	p := &place{t: t}
	p.command = func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepassctl"), append(args, "--data", dir)...)
	}
	p.open = func() (store.Resources, func() error) {
		store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
		worldtest.Must(t, err)
		return store, store.Close
	}
	p.kill = func(cmd *exec.Cmd, round int) bool { return killWriter(t, cmd, dir, round) }
	return p
}

func onStack(t *testing.T, s *worldtest.Stack) *place {
	p := &place{t: t}
	p.command = func(args ...string) *exec.Cmd { return s.CtlCommand(t, args...) }
	p.open = func() (store.Resources, func() error) { return s.Store, func() error { return nil } }
	p.kill = func(cmd *exec.Cmd, round int) bool { return killCaller(t, cmd, round) }
	return p
}

// run runs gatepassctl, which must succeed, and returns standard output.
func (p *place) run(args ...string) string {
	p.t.Helper()
	cmd := p.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("gatepassctl %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// state is everything that is stored, by kind/name.
func (p *place) state() map[string]string {
	p.t.Helper()
	store, done := p.open()
	now, err := admin.Read(p.t.Context(), store)
	worldtest.Must(p.t, err)
	worldtest.Must(p.t, now.Invalid(nil))
	all := now.After(nil)
	worldtest.Must(p.t, done())
	state := map[string]string{}
	for _, r := range all {
		encoded, err := rules.Encode(r)
		worldtest.Must(p.t, err)
		state[id(r)] = string(encoded)
	}
	p.complete(all)
	return state
}

func id(r rules.Resource) string { return string(r.Kind()) + "/" + r.Name() }

// complete checks that whatever a resource refers to is there.
func (p *place) complete(all []rules.Resource) {
	p.t.Helper()
	there := map[string]bool{}
	for _, r := range all {
		there[id(r)] = true
	}
	for _, r := range all {
		switch r := r.(type) {
		case *rules.TokenRule:
			if !there["bot/"+r.BotName] {
				p.t.Errorf("%s is stored without its bot", id(r))
			}
		case *rules.Bot:
			for _, role := range r.Roles {
				if !there["role/"+role] {
					p.t.Errorf("%s is stored without role/%s", id(r), role)
				}
			}
		}
	}
}

// folder is a folder of files for apply: a role, ten bots, and token rules for them.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder {
	f := folder{t, t.TempDir()}
	f.write("role-deployer", "kind: role\nversion: v7\nmetadata: {name: deployer, labels: {from: folder}}\nspec: {allow: {logins: [deploy]}}\n")
	for i := range 10 {
		f.write(fmt.Sprintf("bots/bot-%d", i), fmt.Sprintf("kind: bot\nversion: v1\nmetadata: {name: bot-%d, labels: {from: folder}}\nspec: {roles: [deployer]}\n", i))
	}
	return f
}

func (f folder) write(name, content string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name+".yaml")
	worldtest.Must(f.t, os.MkdirAll(filepath.Dir(path), 0o700))
	worldtest.Must(f.t, os.WriteFile(path, []byte(content), 0o600))
}

// tokens writes token rules for some branch, from first up to last.
func (f folder) tokens(first, last int, branch string) {
	for i := first; i < last; i++ {
		f.write(fmt.Sprintf("tokens/%d/token-%d", i%7, i), fmt.Sprintf(`kind: token
version: v2
metadata: {name: token-%d, labels: {from: folder}}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: bot-%d
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: https://join.example.com
    allow:
      - workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}"
        repository_uuid: "{1de489be-44a1-4b9d-9f4e-%012d}"
        branch_name: %s
`, i, i%10, i, branch))
	}
}

// remove removes the files of token rules.
func (f folder) remove(first, last int) {
	for i := first; i < last; i++ {
		worldtest.Must(f.t, os.Remove(filepath.Join(f.dir, fmt.Sprintf("tokens/%d/token-%d.yaml", i%7, i))))
	}
}
