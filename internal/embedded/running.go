package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// runningFile, in the data directory, tells other commands where the server listens.
const runningFile = "serve.json"

// Running is a server that answers.
type Running struct {
	URL       string `json:"url"`
	PublicURL string `json:"public_url"`
	Version   string `json:"version,omitempty"`
}

// announce writes where the server listens. It is a help for people: a server
// that cannot write it serves all the same.
func (s *Server) announce() error {
	body, err := json.Marshal(Running{URL: s.url, PublicURL: s.publicURL})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.c.Data, runningFile), body, 0o600)
}

// unannounce takes it back, unless another server has written its own since.
func (s *Server) unannounce() error {
	r, err := readRunning(s.c.Data)
	if err != nil || r.URL != s.url {
		return nil
	}
	if err := os.Remove(filepath.Join(s.c.Data, runningFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readRunning(data string) (r Running, err error) {
	body, err := os.ReadFile(filepath.Join(data, runningFile))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

// FindRunning asks the server that serves data whether it is there, for at most
// within; nil if none answers.
func FindRunning(ctx context.Context, data string, within time.Duration) *Running {
	r, err := readRunning(data)
	if err != nil {
		return nil
	}
	return Ask(ctx, r.URL, r.PublicURL, within)
}

// Ask asks the service at publicURL whether it is there, for at most within; nil
// if it does not answer. url is where it listens.
func Ask(ctx context.Context, url, publicURL string, within time.Duration) *Running {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, publicURL+api.PathHealth, nil)
	if err != nil {
		return nil
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var health api.Health
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&health) != nil {
		return nil
	}
	return &Running{URL: url, PublicURL: publicURL, Version: health.Version}
}
