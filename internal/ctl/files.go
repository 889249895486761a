package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// ReplaceFile writes a file whole or leaves the one that is there. Who reads it
// meanwhile has the old one or the new one, never a part.
func ReplaceFile(path string, mode os.FileMode, write func(io.Writer) error) (err error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: choose another name", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // 0600
	if errors.Is(err, fs.ErrNotExist) {
		return cli.Failed("%s does not exist", filepath.Dir(path)).Hint("make the directory first")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// WriteFile is ReplaceFile with what is at hand.
func WriteFile(path string, mode os.FileMode, content []byte) error {
	return ReplaceFile(path, mode, func(w io.Writer) error { _, err := w.Write(content); return err })
}

// maxInput is how many bytes a file, or standard input, may have: more than all that
// is read of either.
const maxInput = 16 << 20

// ReadInput reads a file, or standard input for "-". One that is too large is an
// error: its beginning alone could be something else than was meant.
func (c *Env) ReadInput(path string) ([]byte, error) {
	in := c.In
	if path == "-" {
		path = "standard input"
	} else {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, cli.Failed("%s does not exist", path).Hint("check the path")
		}
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(data) > maxInput {
		return nil, cli.Failed("%s has more than %d MiB", path, maxInput>>20).Hint("check the path")
	}
	return data, err
}

// ReadClaims reads the JSON of an ID token's payload, or the report of gatepass
// doctor that has it: a job prints that without its token.
func (c *Env) ReadClaims(path string) ([]byte, error) {
	data, err := c.ReadInput(path)
	if err != nil {
		return nil, err
	}
	var report struct {
		Checks []json.RawMessage `json:"checks"`
		Claims json.RawMessage   `json:"claims"`
	}
	if err := json.Unmarshal(data, &report); err == nil && report.Checks != nil && report.Claims != nil {
		return report.Claims, nil
	}
	return data, nil
}
