// Command client measures the client: the time from its start to credentials on
// loopback, which has a goal.
//
//	go run ./test/bench/client bin/gatepass bin/gatepassctl
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

const (
	goal = 30 * time.Millisecond
	runs = 30
)

const rules = `
kind: role
version: v7
metadata: {name: deployer}
spec: {allow: {logins: [deploy]}}
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [deployer]}
---
kind: token
version: v2
metadata: {name: example}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: ISSUER
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow: [{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}]
`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: client GATEPASS GATEPASSCTL")
		os.Exit(2)
	}
	if err := start(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// start joins again and again, each time with a new process, ID token and directory.
func start(client, ctl string) error {
	dir, err := os.MkdirTemp("", "gatepass-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	if err != nil {
		return err
	}
	url, stop, err := serve(ctl, dir, issuer)
	if err != nil {
		return err
	}
	defer stop()
	var all []time.Duration
	for i := range runs {
		token, err := issuer.Bitbucket(issuertest.BitbucketJob{})
		if err != nil {
			return err
		}
		cmd := exec.Command(client, "join", "--server", url, "--token", "example", "--destination", filepath.Join(dir, fmt.Sprint("id", i)))
		cmd.Env = append(os.Environ(), "BITBUCKET_STEP_OIDC_TOKEN="+token)
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	fmt.Printf("client start to credentials    median %s, fastest %s, slowest %s of %d; the goal is %s\n",
		round(all[runs/2]), round(all[0]), round(all[runs-1]), runs, goal)
	return nil
}

// serve starts gatepassctl serve with the rules.
func serve(ctl, dir string, issuer *issuertest.Issuer) (url string, stop func(), err error) {
	data := filepath.Join(dir, "data")
	cmd := exec.Command(ctl, "serve", "--data", data, "--listen", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		stop()
		return "", nil, fmt.Errorf("serve said %q: %w", line, err)
	}
	keys, err := issuer.JWKS()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "jwks.json"), keys, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(strings.ReplaceAll(rules, "ISSUER", issuer.BitbucketURL())), 0o600)
	}
	for _, args := range [][]string{
		{"keys", "import", "--issuer", issuer.BitbucketURL(), filepath.Join(dir, "jwks.json")},
		{"apply", "-f", filepath.Join(dir, "rules.yaml")},
	} {
		if err == nil {
			var out []byte
			if out, err = exec.Command(ctl, append(args, "--data", data)...).CombinedOutput(); err != nil {
				err = fmt.Errorf("gatepassctl %s: %w: %s", args[0], err, out)
			}
		}
	}
	if err != nil {
		stop()
		return "", nil, err
	}
	return "http://" + address, stop, nil
}
