package pipe

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/ssh"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Bounds of a script, in bytes, and of what it is in quotes: that becomes one argument of
// the login's shell on the host, which Linux holds to 128 KiB (MAX_ARG_STRLEN).
const (
	maxScript = 64 << 10
	maxQuoted = 120 << 10
)

// deploys reports whether the pipe is to log in, rather than to write files.
func (r *reader) deploys() bool {
	return r.first(ofDeploy()...) != ""
}

// ofDeploy are the variables that make a pipe log in.
func ofDeploy() []string { return []string{varSSHHost, varSSHHosts, varCommand, varScript, varCopy} }

// first is the first of the variables that is given, or empty.
func (r *reader) first(names ...string) string {
	i := slices.IndexFunc(names, r.given)
	if i < 0 {
		return ""
	}
	return names[i]
}

// deploy is the plan of a pipe that logs in.
func (r *reader) deploy(c clone) *Deploy {
	r.exclude(r.first(ofDeploy()...), "a deployment leaves no files", Output, varDestination, varOutputOwner)
	if r.given(varSSHHost) {
		r.exclude(varSSHHost, "they mean the same", varSSHHosts)
	}
	d := &Deploy{
		User: r.text(varSSHUser), Port: r.port(), HostKeys: r.list(varHostKey, "\n"),
		Command: strings.TrimSpace(r.raw(varCommand)), KeepGoing: r.boolean(varKeepGoing),
	}
	if unset(d.Command) != "" {
		r.plain(varCommand, d.Command) // which says so: on the host it would be no command, and done well
	}
	r.hosts(d)
	for _, key := range d.HostKeys {
		if _, err := ssh.ParsePin(key); err != nil {
			r.problems.AddError(varHostKey, err)
		}
	}
	for _, text := range r.list(varCopy, "\n") {
		r.copy(c, d, text)
	}
	if r.given(varScript) {
		r.exclude(varScript, "write the command into the script, or use two pipes", varCommand)
		d.Script, d.Command = r.script(c)
	}
	if r.first(varCommand, varScript, varCopy) == "" {
		r.problems.Add(varCommand, missing+": or SCRIPT, or COPY; a host alone is nothing to do")
	}
	return d
}

func (r *reader) port() uint16 {
	text := r.text(varSSHPort)
	if text == "" {
		return ssh.DefaultPort
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		r.problems.Add(varSSHPort, "must be a number from 1 to 65535")
	}
	return uint16(port)
}

func (r *reader) hosts(d *Deploy) {
	name := varSSHHost
	if r.given(varSSHHosts) {
		name = varSSHHosts
	}
	hosts := r.list(name, ", \n")
	if len(hosts) == 0 && !r.problems.Has(name) {
		r.problems.Add(name, missing+": the host to log in to, or a list of hosts")
	}
	seen := make(map[ssh.Target]bool)
	for _, text := range hosts {
		target, err := ssh.ParseTarget(text)
		switch {
		case err != nil:
			r.problems.AddError(name, err)
		case seen[target]:
			r.problems.Add(name, "%s is named twice", text)
		}
		seen[target] = true
		d.Hosts = append(d.Hosts, target)
	}
	if d.User != "" {
		if _, err := ssh.ParseTarget(d.User + "@host"); err != nil || strings.Contains(d.User, "@") {
			r.problems.Add(varSSHUser, "unallowed value %q: write the login's name, such as deploy", d.User)
		}
	}
}

// copy reads FROM:TO.
func (r *reader) copy(c clone, d *Deploy, text string) {
	from, to, _ := strings.Cut(text, ":")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if from == "" || to == "" || strings.Contains(to, ":") {
		r.problems.Add(varCopy, "unallowed value %q: write FROM:TO, such as public:/srv/www, a path in the clone and one on the host", text)
		return
	}
	if home, ok := strings.CutPrefix(to+"/", "~/"); ok {
		to = cmp.Or(strings.TrimLeft(strings.TrimSuffix(home, "/"), "/"), ".") // paths begin at home anyway
	}
	if c.root == nil {
		return
	}
	info, source := c.stat(r, varCopy, from)
	if info == nil {
		return
	}
	r.noCredentials(c, varCopy, from, source)
	switch {
	case info.IsDir():
		d.Copies = append(d.Copies, Copy{Source: source, Name: from, Folder: true, To: to})
	case info.Mode().IsRegular():
		d.Copies = append(d.Copies, Copy{Source: source, Name: from, To: to})
	default:
		r.problems.Add(varCopy, "%s is neither a file nor a folder", from)
	}
}

// noCredentials refuses to send a host what is in a destination of ours, or holds one.
func (r *reader) noCredentials(c clone, variable, name, source string) {
	below, err := c.real(source)
	if err != nil {
		r.problems.Add(variable, "%s: %s", name, cause(err))
	} else if found := destinationIn(c.root.FS(), below); found != "" {
		r.problems.Add(variable, "%s has credentials in it, those of %s: name something without them, or run the pipe with CLEANUP before", name, found)
	}
}

// destinationIn is the path of a destination of ours that a file or folder of the tree is in
// or holds; empty if there is none. No link is in the path.
func destinationIn(tree fs.FS, below string) string {
	for dir := below; dir != "."; dir = path.Dir(dir) {
		if destination.Is(tree, dir) {
			return dir
		}
	}
	found := ""
	// What cannot be read is the copy's to complain of.
	_ = fs.WalkDir(tree, below, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && destination.Is(tree, name) {
			found = name
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// script is the name of a script in the clone, and the command line that runs it. The
// host gets all of it before any of it runs: piped into a shell, half of it would run
// when the connection breaks, and what it starts would eat the rest as its input.
func (r *reader) script(c clone) (name, line string) {
	name = r.text(varScript)
	source := c.file(r, varScript)
	if source == "" {
		return name, ""
	}
	r.noCredentials(c, varScript, name, source)
	below, _ := c.below(name)
	raw, err := c.root.ReadFile(below)
	switch {
	case err != nil:
		r.problems.Add(varScript, "%s: %s", name, cause(err))
	case len(raw) > maxScript:
		r.problems.Add(varScript, "%s is longer than %d bytes: copy it with COPY and run it with COMMAND", name, maxScript)
	case slices.Contains(raw, 0):
		r.problems.Add(varScript, "%s is no text", name)
	default:
		shell, ok := interpreter(string(raw))
		if !ok {
			r.problems.Add(varScript, "%s is for %s: only scripts of a shell or of Python are run; copy it with COPY and run it with COMMAND", name, shell)
		}
		line = shell + " -c " + words.ShellQuote(string(raw)) + " " + words.ShellQuote(path.Base(below))
		if len(line) > maxQuoted {
			r.problems.Add(varScript, "%s is longer than %d bytes with its quotes quoted: copy it with COPY and run it with COMMAND", name, maxQuoted)
		}
		return name, line
	}
	return name, ""
}

// interpreter is the command of a script's first line, sh for want of one, and whether
// it takes a script after -c.
func interpreter(script string) (string, bool) {
	first, _, _ := strings.Cut(script, "\n")
	line, ok := strings.CutPrefix(first, "#!")
	if !ok {
		return "sh", true
	}
	line = strings.TrimSpace(line)
	command := strings.Fields(line)
	if len(command) > 0 && path.Base(command[0]) == "env" {
		command = command[1:]
	}
	known := []string{"sh", "bash", "dash", "ash", "ksh", "zsh", "python", "python3"}
	return line, words.Plain(line, " /._+-") && len(command) > 0 && slices.Contains(known, path.Base(command[0]))
}

// cause is an error without the operation and the path that package os puts before it.
func cause(err error) string {
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return err.Error()
}
