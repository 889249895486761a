package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// RunningFile, in the data directory, tells other commands where the server listens.
const RunningFile = "serve.json"

// Running is a server that answers.
type Running struct {
	URL       string `json:"url"`
	PublicURL string `json:"public_url"`
	Version   string `json:"version,omitempty"`
}

// Announce writes where the server of a data directory listens.
func (r Running) Announce(data string) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, RunningFile), body, 0o600)
}

// TakeBack removes what Announce wrote, unless another server has written its own since.
func (r Running) TakeBack(data string) error {
	announced, err := readRunning(data)
	if err != nil || announced.URL != r.URL {
		return nil
	}
	if err := os.Remove(filepath.Join(data, RunningFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readRunning(data string) (r Running, err error) {
	body, err := os.ReadFile(filepath.Join(data, RunningFile))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

// FindRunning asks the server that serves data whether it is there; nil if none answers.
func FindRunning(ctx context.Context, data string) *Running {
	r, err := readRunning(data)
	if err != nil {
		return nil
	}
	return askRunning(ctx, r.URL, r.PublicURL)
}

// askRunning asks the service at publicURL whether it is there; nil if it does not answer
// soon. url is where it listens.
func askRunning(ctx context.Context, url, publicURL string) *Running {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	body, err := get(ctx, publicURL+api.PathHealth, 1<<16)
	var health api.Health
	if err != nil || json.Unmarshal(body, &health) != nil {
		return nil
	}
	return &Running{URL: url, PublicURL: publicURL, Version: health.Version}
}
