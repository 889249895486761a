package test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// Folders that step and pipe share, at the same paths in both.
const (
	agent    = "/opt/atlassian/pipelines/agent"
	cloneDir = agent + "/build"
	sshDir   = agent + "/ssh"
)

// nobody is a user of every machine that is not root.
const nobody = 65534

// step is one step of a pipeline on a machine of its own: a clone, and what Bitbucket
// puts into the environment of script and pipes.
type step struct {
	w     *world
	clone string // on this machine; step and pipe see it as cloneDir
	ssh   string // likewise as sshDir
	env   map[string]string
	user  int // of the lines of the script, by `run-as-user`
	root  int // of the pipe's container, which is root
}

// newStep checks the sample repository out for a branch, and mints the ID token.
func (w *world) newStep(t *testing.T, job issuertest.BitbucketJob, options ...issuertest.Option) *step {
	t.Helper()
	dir, err := os.MkdirTemp(w.dir, "step-")
	worldtest.Must(t, err)
	s := &step{w: w, clone: filepath.Join(dir, "clone"), ssh: filepath.Join(dir, "ssh")}
	worldtest.Must(t, os.Chmod(dir, 0o755))
	worldtest.Must(t, os.Mkdir(s.ssh, 0o755))
	worldtest.Must(t, os.CopyFS(s.clone, os.DirFS("testdata/clone")))
	worldtest.Output(t, "git", "-C", s.clone, "init", "--quiet", "--initial-branch=main")
	worldtest.Output(t, "git", "-C", s.clone, "add", ".")
	worldtest.Output(t, "git", "-C", s.clone, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "sample")
	if job.Audience == nil {
		job.Audience = []string{"https://" + join}
	}
	token, err := w.Issuer.Bitbucket(job, options...)
	worldtest.Must(t, err)
	s.env = bitbucketEnv(token)
	return s
}

// bitbucketEnv are the variables that Bitbucket gives to the script and to a pipe.
func bitbucketEnv(token string) map[string]string {
	workspace := "acme"
	return map[string]string{
		"CI": "true", "BITBUCKET_BRANCH": "main", "BITBUCKET_BUILD_NUMBER": "42", "BITBUCKET_CLONE_DIR": cloneDir,
		"BITBUCKET_COMMIT": "7f3c1d6f8a", "BITBUCKET_GIT_HTTP_ORIGIN": "http://bitbucket.org/acme/shop", "BITBUCKET_GIT_SSH_ORIGIN": "git@bitbucket.org:acme/shop.git",
		"BITBUCKET_PIPELINE_UUID": "{0b1f0bd0-8a04-4c2a-8a2c-3f6f4c2f6a10}", "BITBUCKET_STEP_UUID": "{5f1c8a4f-3c0b-4f21-8b0a-0f3a8a0c2b3d}",
		"BITBUCKET_STEP_RUN_NUMBER": "1", "BITBUCKET_STEP_TRIGGERER_UUID": "{3bb5b1ff-0b0f-4b7e-8a4f-6a2f6fc0c5f1}",
		"BITBUCKET_PROJECT_KEY": "SHOP", "BITBUCKET_PROJECT_UUID": "{9a1c1f2b-7a0a-4a43-9d1c-0a3c0d7c5e11}",
		"BITBUCKET_REPO_FULL_NAME": workspace + "/shop", "BITBUCKET_REPO_IS_PRIVATE": "true", "BITBUCKET_REPO_OWNER": workspace,
		"BITBUCKET_REPO_OWNER_UUID": issuertest.WorkspaceUUID, "BITBUCKET_REPO_SLUG": "shop", "BITBUCKET_REPO_UUID": issuertest.RepositoryUUID,
		"BITBUCKET_WORKSPACE": workspace, "BITBUCKET_SSH_KEY_FILE": sshDir + "/id_rsa", "BITBUCKET_PARALLEL_STEP": "0", "BITBUCKET_PARALLEL_STEP_COUNT": "1",
		"BITBUCKET_DOCKER_HOST_INTERNAL": "172.17.0.1", "DOCKER_HOST": "tcp://localhost:2375",
		"BITBUCKET_PIPELINES_VARIABLES_PATH": cloneDir + "/.bitbucket/pipelines/generated/pipeline/variables",
		"BITBUCKET_PIPE_STORAGE_DIR":         cloneDir + "/.bitbucket/pipelines/generated/pipeline/pipes/gatepassci/gatepass-pipe",
		"BITBUCKET_PIPE_SHARED_STORAGE_DIR":  cloneDir + "/.bitbucket/pipelines/generated/pipeline/pipes",
		"BITBUCKET_STEP_OIDC_TOKEN":          token,
	}
}

// variables of a pipe: a string, or a list.
type variables map[string]any

// flatten hands lists over as Bitbucket does.
func (v variables) flatten() map[string]string {
	flat := make(map[string]string)
	for name, value := range v {
		list, ok := value.([]string)
		if !ok {
			flat[name] = value.(string)
			continue
		}
		flat[name+"_COUNT"] = strconv.Itoa(len(list))
		for i, item := range list {
			flat[fmt.Sprintf("%s_%d", name, i)] = item
		}
	}
	return flat
}

// service are the variables of every pipe that joins.
func (w *world) service(more variables) variables {
	all := variables{"SERVER": w.server, "TOKEN": "example-bot"}
	maps.Copy(all, more)
	return all
}

// podmanRun is the command that runs the pipe: mounts, working directory and
// environment as ecosystem conventions have them. clone and ssh are where they are for
// the caller.
func (s *step) podmanRun(clone, ssh, workdir string, vars map[string]string) []string {
	args := append(slices.Clone(s.w.podman), "run", "--rm", "--pull=never", "--network=host", "--user", strconv.Itoa(s.root),
		"--volume", clone+":"+cloneDir, "--volume", ssh+":"+sshDir+":ro", "--workdir", workdir)
	for line := range strings.Lines(hostsFile(s.w)) {
		address, names, _ := strings.Cut(strings.TrimSpace(line), " ")
		for name := range strings.FieldsSeq(names) {
			args = append(args, "--add-host", name+":"+address)
		}
	}
	for _, set := range []map[string]string{s.env, vars} {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			args = append(args, "--env", name+"="+set[name])
		}
	}
	return append(args, image)
}

func hostsFile(w *world) string {
	raw, err := os.ReadFile(w.hosts)
	if err != nil {
		return ""
	}
	return string(raw)
}

// pipe runs the pipe in the clone, or in a folder of it.
func (s *step) pipe(t *testing.T, vars variables, folder ...string) ran {
	t.Helper()
	args := s.podmanRun(s.clone, s.ssh, filepath.Join(append([]string{cloneDir}, folder...)...), vars.flatten())
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = s.w.environ
	return s.finish(t, cmd)
}

// inStep makes the folders of the step what they are on Bitbucket, in a mount namespace,
// and runs a script there as a user.
const inStep = `set -eu
mount -t tmpfs tmpfs /opt
mkdir -p "$AGENT/build" "$AGENT/ssh"
mount --bind "$CLONE" "$AGENT/build"
mount --bind "$SSH" "$AGENT/ssh"
mount --bind "$HOSTS" /etc/hosts
cd "$AGENT/build"
unset AGENT CLONE SSH HOSTS
if [ "$STEP_USER" != 0 ]; then
  exec setpriv --reuid "$STEP_USER" --regid "$STEP_USER" --clear-groups --inh-caps=-all bash -c "$1"
fi
exec bash -c "$1"`

// lines runs lines of the script as Bitbucket does: in one shell that stops at the first
// that fails.
func (s *step) lines(t *testing.T, lines ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c", inStep, "step",
		"set -e\n"+strings.Join(lines, "\n"))
	// Nothing of this machine's: a step begins with its image's environment.
	cmd.Env = []string{
		"PATH=" + s.path(t), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "SSL_CERT_FILE=" + s.w.bundle, "CURL_CA_BUNDLE=" + s.w.bundle,
		"CONTAINERS_CONF=" + filepath.Join(s.w.dir, "containers.conf"),
		"AGENT=" + agent, "CLONE=" + s.clone, "SSH=" + s.ssh, "HOSTS=" + s.w.hosts, "STEP_USER=" + strconv.Itoa(s.user),
	}
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return s.finish(t, cmd)
}

// path has an ssh that finds the sample's hosts at their ports, and is ssh otherwise.
func (s *step) path(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(s.w.dir, "bin")
	worldtest.Must(t, os.MkdirAll(dir, 0o755))
	real := worldtest.Need(t, "ssh")
	// Written and moved: other steps may be running it.
	next := filepath.Join(dir, rand.Text())
	worldtest.Must(t, os.WriteFile(next, []byte("#!/bin/sh\nexec "+real+" -o Port="+s.w.port+` "$@"`+"\n"), 0o755))
	worldtest.Must(t, os.Rename(next, filepath.Join(dir, "ssh")))
	return dir + ":" + os.Getenv("PATH")
}

// ran is how a pipe or lines ended.
type ran struct {
	status int
	log    string // stdout and stderr, as a build log has them
}

func (s *step) finish(t *testing.T, cmd *exec.Cmd) ran {
	t.Helper()
	cmd.WaitDelay = 5 * time.Second
	out, _ := cmd.CombinedOutput()
	r := ran{cmd.ProcessState.ExitCode(), string(out)}
	token := strings.Split(s.env["BITBUCKET_STEP_OIDC_TOKEN"], ".")
	if len(token) == 3 && strings.Contains(r.log, token[2]) || strings.Contains(r.log, "PRIVATE KEY") {
		t.Errorf("a secret is in the log:\n%s", r.log)
	}
	return r
}

// ok fails the test unless all went well and the log has the words.
func (r ran) ok(t *testing.T, words ...string) ran {
	t.Helper()
	return r.ended(t, 0, words...)
}

// ended fails the test unless the exit status and the words are these.
func (r ran) ended(t *testing.T, status int, words ...string) ran {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d", r.status, status)
	}
	for _, word := range words {
		if !strings.Contains(r.log, word) {
			t.Errorf("the log lacks %q", word)
		}
	}
	if t.Failed() {
		t.Fatalf("log:\n%s", r.log)
	}
	return r
}

// without fails the test if the log has one of the words.
func (r ran) without(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(r.log, word) {
			t.Errorf("the log has %q:\n%s", word, r.log)
		}
	}
}

// tree lists everything in the clone but git's own, with modes, owners and targets.
func (s *step) tree(t *testing.T) []string {
	t.Helper()
	out := worldtest.Output(t, "find", s.clone, "-path", s.clone+"/.git", "-prune", "-o", "-printf", "%M %U %P %l %s\\n")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	return lines
}

// unchanged fails the test if the clone is not what it was.
func (s *step) unchanged(t *testing.T, before []string) {
	t.Helper()
	if after := s.tree(t); !slices.Equal(before, after) {
		t.Errorf("the clone was:\n%s\nand is:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// private fails the test unless everything below a folder is for one user alone, and
// neither git nor the ID token's secret part is to be found there.
func (s *step) private(t *testing.T, folder string, uid int) {
	t.Helper()
	path := filepath.Join(s.clone, folder)
	modes := regexp.MustCompile(`\A(drwx------|-rw-------|lrwxrwxrwx) \d+ `)
	out := strings.TrimSpace(worldtest.Output(t, "find", path, "-printf", "%M %U %p\\n"))
	for line := range strings.Lines(out) {
		owner := strings.Fields(line)[1]
		link := strings.HasPrefix(line, "l") // root makes links for another owner
		if !modes.MatchString(line) || !link && owner != strconv.Itoa(uid) {
			t.Errorf("not for user %d alone: %s", uid, strings.TrimSpace(line))
		}
	}
	if strings.Count(out, "\n") < 5 {
		t.Errorf("there is hardly anything in %s:\n%s", folder, out)
	}
	secret := strings.Split(s.env["BITBUCKET_STEP_OIDC_TOKEN"], ".")[2]
	if found, err := exec.CommandContext(t.Context(), "grep", "-rlF", secret, path).Output(); err == nil {
		t.Errorf("the ID token is in %s", found)
	}
	status := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "-C", s.clone, "status", "--porcelain", "--untracked-files=all")
	if listed, err := status.Output(); err != nil || strings.TrimSpace(string(listed)) != "" {
		t.Errorf("git would add: %v %s", err, listed)
	}
}
