// Package pipe is what Bitbucket Pipelines runs as the Gatepass pipe: it reads the
// pipe's variables into a plan, and prints as pipes do. docs/bitbucket.md is its guide,
// and ci/bitbucket-pipe what is published.
//
// A pipe is a container beside the step's own. It sees the clone at the same path, its
// working directory is that of the script, and only what it leaves in the clone is
// there when it has ended. What is in the clone may be of a stranger's making, links
// included, so no path is followed out of it.
package pipe

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/client/ssh"
)

// Plan is what a pipe is to do: exactly one of Files, Deploy and Cleanup is set.
type Plan struct {
	Debug bool

	Server, Token, Audience string
	TTL                     time.Duration
	Timeout                 time.Duration // to reach the service, or a host; zero means the usual
	Roles                   []string
	CAFile, KnownHosts      string // paths, or empty

	Clone   string // the absolute path of the clone
	Workdir string // the script's current directory
	Files   *Files
	Deploy  *Deploy
	Cleanup *Cleanup
}

// Files writes credentials for the lines of the script that follow.
type Files struct {
	Destination string   // absolute, below the clone
	Outputs     []string // TYPE,FLAG=VALUE,… each
	Owner       string   // UID or UID:GID, or empty
}

// Cleanup removes them.
type Cleanup struct{ Destination string }

// Deploy logs in to hosts, with credentials that are in memory only.
type Deploy struct {
	Hosts     []ssh.Target
	User      string // of hosts that name none; empty for the certificate's
	Port      uint16 // of hosts that name none
	HostKeys  []string
	Copies    []Copy
	Command   string // for the login's shell; empty for none
	Script    string // the name of the file that Command was made of, or empty
	KeepGoing bool
}

// Copy is a file or folder of the clone, and where it goes on a host.
type Copy struct {
	Source string // absolute
	Name   string // as it was written
	Folder bool
	To     string // relative to the login's home, or absolute
}

// World is where a pipe runs.
type World struct {
	Getenv  func(string) string
	Environ []string // NAME=VALUE, to find misspelt names in
	Workdir string   // the script's current directory
}

// Parse reads the variables. What it could not make sense of is in the problems, and
// the plan is not to be carried out if there are any.
func Parse(world World) (*Plan, *Problems) {
	problems := &Problems{}
	r := &reader{getenv: world.Getenv, problems: problems}
	p := &Plan{Debug: r.boolean(varDebug), Workdir: world.Workdir}
	c := openClone(r, world.Workdir)
	defer c.close()
	p.Clone = c.path
	r.unknown(world.Environ)
	if r.boolean(varCleanup) {
		r.exclude(varCleanup, "that only removes what an earlier pipe wrote", ofDeploy()...)
		p.Cleanup = &Cleanup{Destination: c.destination(r)}
		return p, problems
	}
	p.Server, p.Token = r.required(varServer), r.required(varToken)
	if p.Server != "" {
		if _, err := service.ParseURL(p.Server); err != nil {
			problems.AddError(varServer, err)
		}
	}
	p.Audience, p.TTL, p.Timeout = r.text(varAudience), r.duration(varTTL), r.duration(varTimeout)
	p.Roles = r.list(varRoles, ", \n")
	p.CAFile = c.file(r, CAFile)
	p.KnownHosts = c.knownHosts(r)
	if r.deploys() {
		p.Deploy = r.deploy(c)
	} else {
		p.Files = r.files(c)
	}
	return p, problems
}

// files is the plan of a pipe that writes credentials.
func (r *reader) files(c clone) *Files {
	f := &Files{Destination: c.destination(r), Outputs: r.list(Output, "\n"), Owner: r.text(varOutputOwner)}
	if len(f.Outputs) == 0 {
		f.Outputs = []string{"identity"}
	}
	user, group, both := strings.Cut(f.Owner, ":")
	if f.Owner != "" && (!number(user) || both && !number(group)) {
		r.problems.Add(varOutputOwner, "unallowed value %q: write numbers, UID or UID:GID, such as the step's run-as-user", f.Owner)
	}
	for _, name := range []string{varSSHUser, varSSHPort, varHostKey, varKeepGoing} {
		if r.given(name) {
			r.problems.Add(name, "'%s' is required with it: it has no meaning where nothing logs in", varSSHHost)
		}
	}
	return f
}

func number(text string) bool {
	_, err := strconv.ParseUint(text, 10, 31)
	return err == nil
}

// clone is the folder that pipe and step share.
type clone struct {
	path    string
	workdir string
	root    *os.Root // nil if there is none
}

func openClone(r *reader, workdir string) clone {
	c := clone{path: r.text(varCloneDir), workdir: workdir}
	if c.path == "" {
		r.problems.Add(varCloneDir, missing+": Bitbucket sets it for a pipe; elsewhere use `gatepass join`")
		return c
	}
	if !filepath.IsAbs(c.path) {
		r.problems.Add(varCloneDir, "must be an absolute path")
		return c
	}
	c.path = filepath.Clean(c.path)
	root, err := os.OpenRoot(c.path)
	if err != nil {
		r.problems.AddError(varCloneDir, err)
		return c
	}
	c.root = root
	return c
}

func (c clone) close() {
	if c.root != nil {
		c.root.Close()
	}
}

// below is a path's place in the clone, and whether it has one. What is relative is so
// to the current directory of the script, as in a line of it.
func (c clone) below(path string) (string, bool) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.workdir, path)
	}
	below, err := filepath.Rel(c.path, path)
	return below, err == nil && filepath.IsLocal(below)
}

// destination is where the files go: in the clone, for nothing else is left when the
// pipe has ended, and by no link, which a commit could hold.
func (c clone) destination(r *reader) string {
	name := r.text(varDestination)
	if c.root == nil {
		return ""
	}
	if name == "" {
		name = filepath.Join(c.path, ".gatepass")
	}
	below, ok := c.below(name)
	if !ok || below == "." {
		r.problems.Add(varDestination, "must be a folder of its own inside the clone, %s: nothing else that a pipe writes is there afterwards", c.path)
		return ""
	}
	for part := below; part != "."; part = filepath.Dir(part) {
		if info, err := c.root.Lstat(part); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			r.problems.Add(varDestination, "%s is a symbolic link in the clone: remove it, or choose another folder", part)
			return ""
		}
	}
	return filepath.Join(c.path, below)
}

// file is the path of a file in the clone that a variable names; empty if it names none.
func (c clone) file(r *reader, variable string) string {
	name := r.text(variable)
	if name == "" || c.root == nil {
		return ""
	}
	info, path := c.stat(r, variable, name)
	if info != nil && !info.Mode().IsRegular() {
		r.problems.Add(variable, "%s is no file", name)
		return ""
	}
	return path
}

// knownHosts may also be a file of the pipe's own container: Bitbucket puts the
// repository's known hosts beside its SSH key there.
func (c clone) knownHosts(r *reader) string {
	name := r.text(Known)
	if !filepath.IsAbs(name) {
		return c.file(r, Known)
	}
	if _, ok := c.below(name); ok {
		return c.file(r, Known)
	}
	if info, err := os.Stat(name); err != nil {
		r.problems.AddError(Known, err)
	} else if !info.Mode().IsRegular() {
		r.problems.Add(Known, "%s is no file", name)
	}
	return name
}

// stat looks at something in the clone. The root follows no link out of it.
func (c clone) stat(r *reader, variable, name string) (fs.FileInfo, string) {
	below, ok := c.below(name)
	if !ok {
		r.problems.Add(variable, "%s is outside of the clone, %s: a pipe sees nothing else of the step", name, c.path)
		return nil, ""
	}
	info, err := c.root.Stat(below)
	if err != nil {
		r.problems.Add(variable, "%s: %s", name, cause(err))
		return nil, ""
	}
	return info, filepath.Join(c.path, below)
}

// real is where a path leads to in the clone when its links have been followed.
func (c clone) real(path string) (string, error) {
	top, err := filepath.EvalSymlinks(c.path)
	if err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Rel(top, path)
}
