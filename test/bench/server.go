package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// benchRules let any job of the issuer's Bitbucket side join for an SSH and an X.509 credential.
const benchRules = `
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

// build builds the two commands as they are released, and the floor.
func (b *bench) build() error {
	root, err := worldtest.Root()
	if err != nil {
		return err
	}
	b.bin = filepath.Join(b.dir, "bin")
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.bin+"/",
		"./cmd/gatepass", "./cmd/gatepassctl", "./test/bench/floor")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	return nil
}

// command is one of the programs, to be run, with more environment.
func (b *bench) command(name string, args, env []string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, filepath.Join(b.bin, name), args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// ctl runs gatepassctl, which must succeed.
func (b *bench) ctl(env []string, args ...string) error {
	if out, err := b.command("gatepassctl", args, env).CombinedOutput(); err != nil {
		return fmt.Errorf("gatepassctl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// prepare stores the rules and the issuer's keys; where says in which store: --data DIR or
// --stack NAME.
func (b *bench) prepare(env []string, where ...string) error {
	dir, err := os.MkdirTemp(b.dir, "rules-")
	if err != nil {
		return err
	}
	keys, err := b.issuer.JWKS()
	if err != nil {
		return err
	}
	keysFile, rulesFile := filepath.Join(dir, "jwks.json"), filepath.Join(dir, "rules.yaml")
	text := strings.ReplaceAll(benchRules, "ISSUER", b.issuer.BitbucketURL())
	if err := errors.Join(os.WriteFile(keysFile, keys, 0o600), os.WriteFile(rulesFile, []byte(text), 0o600)); err != nil {
		return err
	}
	if err := b.ctl(env, append([]string{"keys", "import", "--yes", "--issuer", b.issuer.BitbucketURL(), keysFile}, where...)...); err != nil {
		return err
	}
	return b.ctl(env, append([]string{"apply", "-f", rulesFile}, where...)...)
}

// server is a running one on loopback.
type server struct {
	name, url string
	data      string // serve's directory
	pid       int
	cmd       *exec.Cmd
}

// serve starts gatepassctl serve with the rules on a new data directory below dir.
func (b *bench) serve(name, dir string, flags ...string) (*server, error) {
	dir, err := os.MkdirTemp(dir, "gatepass-bench-data-")
	if err != nil {
		return nil, err
	}
	s, err := b.start(name, "gatepassctl", append([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--rate-limit", "0"}, flags...)...)
	if err != nil {
		return nil, err
	}
	s.data = dir
	if err := b.prepare(nil, "--data", dir); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// floor starts the floor.
func (b *bench) floor() (*server, error) {
	key, err := b.issuer.PublicKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "issuer.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	return b.start("floor", "floor", file)
}

// start starts a server, which says in its first line at which URL it listens. Its log is a
// file, as it would be in service.
func (b *bench) start(name, program string, args ...string) (*server, error) {
	cmd := b.command(program, args, nil)
	log, err := os.CreateTemp(b.dir, program+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, pid: cmd.Process.Pid, cmd: cmd}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), " at ")
	if err != nil || !ok {
		s.stop()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%s did not start: %q\n%s", program, line, text)
	}
	s.url = url
	return s, nil
}

// stop ends the server by SIGTERM, and after ten seconds by SIGKILL.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	_ = s.cmd.Wait()
}

// cpu is the processor time of a process and of its children that have ended, from
// /proc/PID/stat (proc(5)), whose unit is 10 ms on every Linux.
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything. The state is field 3.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int
	for _, field := range fields[14-3 : 18-3] { // utime, stime, cutime, cstime
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// resident is the memory of a process that is in RAM, in MiB.
func resident(pid int) (float64, error) { return memoryOf(pid, "VmRSS:") }

// memoryOf is a line of /proc/PID/status, in MiB.
func memoryOf(pid int, name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, name)
}

// watch runs a command, which must succeed, and returns the most memory that it was seen to have
// had, in MiB. What wait4 tells of that counts the memory of this process too, which the
// command's began as.
func watch(cmd *exec.Cmd) (mib float64, err error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if now, err := memoryOf(cmd.Process.Pid, "VmHWM:"); err == nil {
			mib = now
		}
		select {
		case err := <-ended:
			if err != nil {
				return 0, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, &out)
			}
			return mib, nil
		case <-time.After(500 * time.Microsecond):
		}
	}
}
