package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// startService starts gatepassctl serve and waits until it listens.
func (d *demo) startService(ctx context.Context) error {
	d.heading("The join service")
	d.say("   %s", d.bold("$ gatepassctl serve --data data --listen 127.0.0.1:0 &"))
	log, err := os.OpenFile(filepath.Join(d.dir, "serve.log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, d.gatepassctl, "serve", "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Env, cmd.Stderr = d.dir, d.env, log
	// A service that is told to stop finishes what is under way.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	d.cleanups = append(d.cleanups, func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("gatepassctl serve did not start: %s", strings.TrimSpace(string(text)))
	}
	d.indented(line)
	_, address, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if !ok {
		return fmt.Errorf("gatepassctl serve said %q, not where it listens", line)
	}
	d.server = address
	return nil
}
