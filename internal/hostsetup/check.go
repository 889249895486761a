package hostsetup

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Finding is something on a host that is not as it should be.
type Finding struct {
	About   string `json:"about"`   // a file, a setting of sshd, an account
	Problem string `json:"problem"` // what is wrong
	Do      string `json:"do"`      // what to do
	// Warning says that everything works as yet.
	Warning bool `json:"warning,omitempty"`
}

// Account is a local account, as far as sshd looks at it before it lets in.
type Account struct {
	Shell   string
	NoShell bool     // there is no such file
	Locked  bool     // its password begins with !, as useradd makes it
	Groups  []string // none if they are not known
}

type findings []Finding

func (f *findings) add(about, problem, do string) {
	*f = append(*f, Finding{About: about, Problem: problem, Do: do})
}

func (f *findings) warn(about, problem, do string) {
	*f = append(*f, Finding{About: about, Problem: problem, Do: do, Warning: true})
}

// Checks is what Check looks with.
type Checks struct {
	Sshd Sshd // nil: what sshd would do is not asked, of which a running host is warned
	// Account looks a local account up; fs.ErrNotExist if there is no such account.
	Account func(ctx context.Context, name string) (Account, error)
	// HasRead is when the running sshd last read its configuration; the zero time if
	// it is not known.
	HasRead time.Time
	// HostAuthority has the public keys of the service's ssh-host authority; empty if
	// they are not known.
	HostAuthority string
	Now           time.Time
}

const applyAgain = "run gatepassctl host setup --apply"

// Check compares the host with h and changes nothing. No findings: certificates that h
// is about are let in, and no others.
func Check(ctx context.Context, d *Dir, h *Host, with Checks) ([]Finding, error) {
	files, err := h.Files()
	if err != nil {
		return nil, err
	}
	var f findings
	f.checkFiles(d, files)
	f.checkConfig(d, h)
	f.checkLines(d)
	if NotRead(d, with.HasRead) {
		f.add("sshd", "has not read "+ConfigFile+" since it was written", "have it do so: "+ReloadCommand)
	}
	var accounts map[string]Account
	if with.Account != nil {
		accounts = f.checkAccounts(ctx, h, with.Account)
	}
	var authorities []ssh.PublicKey
	if with.HostAuthority != "" {
		if authorities, err = parseAuthority(with.HostAuthority); err != nil {
			return nil, err
		}
	}
	for _, name := range h.HostCertificates {
		f.checkHostCertificate(d, name, authorities, with.Now)
	}
	switch {
	case with.Sshd != nil:
		f.checkEffective(ctx, d, h, with.Sshd, accounts)
	case d.ThisHost():
		f.warn("sshd", "was not asked what it does with all files taken together", "run as root, with OpenSSH's server installed")
	}
	return f, nil
}

func (f *findings) checkFiles(d *Dir, files []File) {
	folders := map[string]bool{}
	for _, file := range files {
		text, err := d.read(file.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.add(file.Path, "is missing", applyAgain)
			continue
		case err != nil:
			f.add(file.Path, "cannot be read: "+err.Error(), "look at it, and remove it or mend it")
			continue
		case file.Keep || text == file.Content:
		case file.Path == AuthorityFile:
			f.checkAuthority(text, file.Content)
		case !own(text):
			f.add(file.Path, "is not written by gatepassctl host setup", "move it away, then "+applyAgain)
		default:
			f.add(file.Path, "is not what it should be", applyAgain)
		}
		f.checkMode(d, file.Path, "chown root "+file.Path+" && chmod 0644 "+file.Path)
		for folder := path.Dir(file.Path); !folders[folder]; folder = path.Dir(folder) {
			folders[folder] = true
			f.checkMode(d, folder, "chown root "+folder+" && chmod go-w,a+x "+folder)
		}
	}
	stale, foreign, err := d.others(files)
	if err != nil {
		f.add(PrincipalsDir, "cannot be read: "+err.Error(), "run as root")
	}
	for _, c := range stale {
		f.add(c.Path, "lets into an account that is not among --logins", applyAgain+", which removes it, or add the account")
	}
	for _, name := range foreign {
		f.add(name, "lets into an account, and is not written by gatepassctl host setup", "remove it")
	}
}

func (f *findings) checkMode(d *Dir, name, do string) {
	if problem := d.insecure(name); problem != "" {
		f.add(name, problem, do)
	}
}

// checkAuthority tells what a rotation left behind.
func (f *findings) checkAuthority(text, want string) {
	have, err := parseAuthority(text)
	if err != nil {
		f.add(AuthorityFile, "is no list of public keys", applyAgain)
		return
	}
	wanted, err := parseAuthority(want)
	if err != nil {
		f.add(AuthorityFile, "is no list of public keys", applyAgain)
		return
	}
	same := true
	for _, key := range wanted {
		if !contains(have, key) {
			same = false
			f.add(AuthorityFile, "does not have the key "+ssh.FingerprintSHA256(key)+" of the service: certificates that it signs are refused", applyAgain)
		}
	}
	for _, key := range have {
		if !contains(wanted, key) {
			same = false
			f.add(AuthorityFile, "has the key "+ssh.FingerprintSHA256(key)+", which is not of the service or no longer: certificates that it signs are let in", applyAgain)
		}
	}
	if same {
		f.add(AuthorityFile, "is not what it should be", applyAgain)
	}
}

func (f *findings) checkConfig(d *Dir, h *Host) {
	err := d.obeys(h)
	if conflict, ok := errors.AsType[*ConflictError](err); ok {
		for _, line := range conflict.Lines {
			f.add(strings.TrimSpace(line), "sets what "+ConfigFile+" sets, and sshd takes the first", "remove the line, if nothing else needs it")
		}
		return
	}
	switch {
	case errors.Is(err, ErrNoInclude):
		f.add(mainConfigFile, "does not include "+path.Dir(ConfigFile), "write "+IncludeLine+" as its first line, and reload sshd")
	case err != nil:
		f.add(mainConfigFile, "cannot be read: "+err.Error(), "run as root, with OpenSSH's server installed")
	}
}

// checkLines looks at what sshd reads beside ConfigFile: who can change it decides who
// gets in, which sshd does not look at; and of what holds for some clients only sshd -T
// tells nothing.
func (f *findings) checkLines(d *Dir) {
	all, err := d.directives()
	if err != nil {
		return // which checkConfig tells
	}
	seen := map[string]bool{ConfigFile: true}
	for _, line := range all {
		if line.ofSomeClients() && line.keepsOut() {
			f.warn(line.String(), line.keyword+" "+strings.Join(line.args, " ")+" holds for clients of "+strings.Join(line.scope, " ")+" only, and may keep jobs out that come from there", "see where jobs come from")
		}
		if seen[line.file] {
			continue
		}
		seen[line.file] = true
		if problem, _ := d.changeable(line.file); problem != "" {
			f.add(line.file, problem, "chown root "+line.file+" && chmod go-w "+line.file)
		}
	}
}

// IncludeLine is what sshd_config must have, before any Match.
const IncludeLine = "Include " + SSHFolder + "/sshd_config.d/*.conf"

// NotRead tells whether ConfigFile was written after a running sshd last read its
// configuration; if it is not known when that was, nothing is told.
func NotRead(d *Dir, read time.Time) bool {
	if read.IsZero() {
		return false
	}
	info, err := d.root.Stat(below(ConfigFile))
	return err == nil && info.ModTime().After(read)
}

// checkAccounts returns the accounts that there are.
func (f *findings) checkAccounts(ctx context.Context, h *Host, lookUp func(context.Context, string) (Account, error)) map[string]Account {
	accounts := map[string]Account{}
	for _, name := range sortedAccounts(h) {
		about := "account " + name
		a, err := lookUp(ctx, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.add(about, "does not exist on this host", "make it, such as by useradd --create-home --shell /bin/sh "+name+", or take it from --logins")
			continue
		case err != nil:
			f.warn(about, "could not be looked up: "+err.Error(), "see getent passwd "+name)
			continue
		case path.Base(a.Shell) == "nologin" || path.Base(a.Shell) == "false":
			f.add(about, "has the shell "+a.Shell+", which runs no command", "chsh -s /bin/sh "+name)
		case a.NoShell:
			f.add(about, "has the shell "+a.Shell+", which does not exist, so sshd refuses it", "chsh -s /bin/sh "+name)
		}
		accounts[name] = a
	}
	return accounts
}
