package hostsetup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dir is the /etc/ssh of a host: this one's, or that of an image or a chroot.
type Dir struct {
	top  string   // what / is there
	root *os.Root // /etc/ssh
	// owners may own what is there: root, and below another top the caller too, whose
	// files become root's when the image is made.
	owners []int
}

// ErrNoSSH says that there is no /etc/ssh.
var ErrNoSSH = errors.New("there is no " + SSHFolder)

// OpenDir opens the /etc/ssh below top, which is "/" for this host. No link in it
// leads out of it.
func OpenDir(top string) (*Dir, error) {
	top, err := filepath.Abs(top)
	if err != nil {
		return nil, err
	}
	if top, err = filepath.EvalSymlinks(top); err != nil {
		return nil, err
	}
	folder, err := filepath.EvalSymlinks(filepath.Join(top, SSHFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoSSH
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(folder+"/", strings.TrimSuffix(top, "/")+"/") {
		return nil, fmt.Errorf("%s leads out of %s, to %s", SSHFolder, top, folder)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	d := &Dir{top: top, root: root, owners: []int{0}}
	if top != "/" {
		d.owners = append(d.owners, os.Geteuid())
	}
	return d, nil
}

// Close closes it.
func (d *Dir) Close() error { return d.root.Close() }

// ThisHost tells whether it is that of the running system.
func (d *Dir) ThisHost() bool { return d.top == "/" }

// below is a path on the host as one below /etc/ssh.
func below(name string) string { return strings.TrimPrefix(name, SSHFolder+"/") }

// read returns a file below /etc/ssh; fs.ErrNotExist if it is not there. What is no
// regular file is an error.
func (d *Dir) read(name string) (string, error) {
	info, err := d.root.Lstat(below(name))
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", name)
	}
	data, err := d.root.ReadFile(below(name))
	return string(data), err
}

// list returns the names in a folder below /etc/ssh, sorted; none if it is not there.
func (d *Dir) list(folder string) ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), below(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// readAnywhere reads a file of the host that need not be below /etc/ssh.
func (d *Dir) readAnywhere(name string) (string, error) {
	here, err := within(d.top, name)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(here)
	return string(data), err
}

// insecure says why sshd or its administrator should not rely on a file or folder:
// others than root can change it, or the account cannot read it. "" if nothing is wrong.
// sshd itself looks at this when it reads principals (StrictModes).
func (d *Dir) insecure(name string) string {
	problem, mode := d.changeable(name)
	readable := fs.FileMode(0o004)
	if mode.IsDir() {
		readable = 0o001
	}
	if problem == "" && mode != 0 && mode&readable == 0 {
		return fmt.Sprintf("cannot be read by the accounts that log in (mode %04o)", mode.Perm())
	}
	return problem
}

// changeable says that others than root can change a file or folder; "" if none can. mode
// is 0 if it is not there.
func (d *Dir) changeable(name string) (problem string, mode fs.FileMode) {
	here, err := within(d.top, name)
	if err != nil {
		return err.Error(), 0
	}
	info, err := os.Stat(here)
	if err != nil {
		return "", 0
	}
	mode = info.Mode()
	switch owner := ownerOf(info); {
	case !slices.Contains(d.owners, owner):
		return fmt.Sprintf("belongs to user %d, not to root", owner), mode
	case mode&0o022 != 0:
		return fmt.Sprintf("can be written by others than its owner (mode %04o)", mode.Perm()), mode
	}
	return "", mode
}
