package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
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
	for i := range b.size.starts {
		token, err := b.issuer.Bitbucket(issuertest.BitbucketJob{})
		if err != nil {
			return err
		}
		cmd := b.command("gatepass", []string{"join", "--server", s.url, "--token", "example", "--destination", filepath.Join(b.dir, fmt.Sprint("id", i))},
			[]string{"BITBUCKET_STEP_OIDC_TOKEN=" + token})
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("gatepass join: %w\n%s", err, out)
		}
		took = append(took, ms(time.Since(began)))
		memory = append(memory, peak(cmd.ProcessState.SysUsage()))
	}
	b.table.add("client", "gatepass: size", float64(program.Size())/1e6, "MB", atMost(10))
	b.table.add("client", "gatepass join: start to credentials", median(took), "ms", atMost(15))
	b.table.add("client", "gatepass join: most memory", median(memory), "MiB", nil)
	return nil
}

// peak is the most memory, in MiB, that an ended process had: Linux counts it in KiB.
func peak(usage any) float64 { return float64(usage.(*syscall.Rusage).Maxrss) / 1024 }
