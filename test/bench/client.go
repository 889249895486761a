package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

// client is the client as a job runs it: each time a new process, ID token and directory.
func (b *bench) client() error {
	program, err := os.Stat(filepath.Join(b.bin, "gatepass"))
	if err != nil {
		return err
	}
	s, err := b.serve(onDisk, b.dir)
	if err != nil {
		return err
	}
	defer s.stop()
	var took, memory []float64
	for range b.size.starts {
		cmd, err := b.clientJoin(s)
		if err != nil {
			return err
		}
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("gatepass join: %w\n%s", err, out)
		}
		took = append(took, ms(time.Since(began)))
	}
	for range 3 { // by themselves: looking takes time
		cmd, err := b.clientJoin(s)
		if err != nil {
			return err
		}
		mib, err := watch(cmd)
		if err != nil {
			return err
		}
		memory = append(memory, mib)
	}
	b.table.add("client", "gatepass: size", float64(program.Size())/1e6, "MB", atMost(10))
	b.table.add("client", "gatepass join: start to credentials", median(took), "ms", atMost(15))
	b.table.add("client", "gatepass join: most memory", median(memory), "MiB", nil)
	return nil
}

// clientJoin is the client in a new job, to be run.
func (b *bench) clientJoin(s *server) (*exec.Cmd, error) {
	token, err := b.issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "id-")
	if err != nil {
		return nil, err
	}
	return b.command("gatepass", []string{"join", "--server", s.url, "--token", "example", "--destination", filepath.Join(dir, "set")},
		[]string{"BITBUCKET_STEP_OIDC_TOKEN=" + token}), nil
}
