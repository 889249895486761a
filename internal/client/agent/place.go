package agent

import (
	"errors"
	"net"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// Place is where a child finds its credentials: a private folder, an agent in it,
// and a janitor for the case that we are killed.
type Place struct {
	folder  string // its absolute path
	janitor *janitor
	agent   *Server
}

// NewPlace makes one. Close it whatever happens afterwards.
func NewPlace(getenv func(string) string) (*Place, error) {
	// Before there is a secret in memory.
	if err := Conceal(); err != nil {
		return nil, err
	}
	folder, err := newFolder(getenv)
	if err != nil {
		return nil, err
	}
	janitor, err := startJanitor(folder)
	if err != nil {
		return nil, errors.Join(err, removeFolder(folder))
	}
	return &Place{folder: folder, janitor: janitor}, nil
}

// Path is the folder's absolute path. It has only letters, digits and /._-+.
func (p *Place) Path() string { return p.folder }

// Serve starts the agent, in a directory that Write has made.
func (p *Place) Serve(id Identity, now func() time.Time) error {
	var err error
	p.agent, err = Listen(p.Socket(), id, now)
	return err
}

// Socket is the agent's: in the directory of a login's files.
func (p *Place) Socket() string {
	return path.Join(p.folder, credentials.TypeLogin, credentials.FileAgentSocket)
}

// Probe writes as many bytes as the files will have and listens where the agent will, and
// removes both: so no ID token is spent on a folder that cannot take them.
func (p *Place) Probe(size int) error {
	name := path.Join(credentials.TypeLogin, "probe")
	err := write(p.folder, name, make([]byte, size))
	if err == nil {
		var listener net.Listener
		if listener, err = net.Listen("unix", p.Socket()); err == nil {
			err = listener.Close() // which removes the socket
		}
	}
	return errors.Join(err, os.RemoveAll(path.Join(p.folder, credentials.TypeLogin)))
}

// Write puts an output's files into its directory, which is below Path.
func (p *Place) Write(dir string, files []destination.File) error {
	below, err := filepath.Rel(p.folder, dir)
	if err != nil || !filepath.IsLocal(below) {
		return errors.New("the directory is not in the private folder")
	}
	for _, file := range files {
		if err := write(p.folder, path.Join(below, file.Name), file.Data); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the agent and removes the folder.
func (p *Place) Close() error {
	var err error
	if p.agent != nil {
		err = p.agent.Close()
	}
	return errors.Join(err, removeFolder(p.folder), p.janitor.close())
}
