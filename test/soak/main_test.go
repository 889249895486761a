package soak

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// insideEnv is set in the process that has a mount namespace of its own.
const insideEnv = "GATEPASS_SOAK_INSIDE"

// TestMain runs the tests in a mount namespace of their own, where they may mount disks that end with
// them. Who is not root is root in there.
func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			panic(err)
		}
		worldtest.Main(m)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // no namespaces here: the disk is left out
		worldtest.Main(m)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// duration is how long each world soaks.
func duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("GATEPASS_SOAK")
	if text == "" {
		return time.Second // one round of faults
	}
	d, err := time.ParseDuration(text)
	worldtest.Must(t, err)
	if d > 90*time.Minute {
		t.Fatalf("GATEPASS_SOAK is %s: choose 90m or less, since the service forgets uses of ID tokens that ended more than an hour ago", d)
	}
	return d
}

const rules = `
{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy]}}}
---
{kind: bot, version: v1, metadata: {name: example}, spec: {roles: [deployer]}}
---
kind: token
version: v2
metadata: {name: bitbucket}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  max_joins: 2
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow:
      - repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"
        branch_name: main
`
