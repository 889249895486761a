package sshdtest

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// files lays out everything that sshd reads in dir.
//
//	sshd_config host_key host_cert user_ca revoked authorized_keys principals/LOGIN
//	etc/{passwd,group,shadow,nsswitch.conf}   mounted over the machine's
//	home/LOGIN
func (cfg Config) files(dir, port string, accounts []account, privileged bool) error {
	block, err := ssh.MarshalPrivateKey(cfg.HostKey, "")
	if err != nil {
		return fmt.Errorf("HostKey: %w", err)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	group, err := os.ReadFile("/etc/group")
	if err != nil {
		return err
	}
	newPasswd, newGroup, newShadow := accountFiles(accounts, passwd, group, privileged)

	type file struct {
		name, text string
		mode       os.FileMode
	}
	// sshd reads the principals and authorized keys as the login, so they, unlike the rest, are for all.
	files := []file{
		{"sshd_config", cfg.sshdConfig(dir, port, privileged), 0o600},
		{"host_key", string(pem.EncodeToMemory(block)), 0o600},
		{"host_cert", line(cfg.HostCertificate), 0o600},
		{"user_ca", line(cfg.TrustedUserCAKeys), 0o600},
		{"revoked", cfg.RevokedKeys, 0o600},
		{"etc/passwd", newPasswd, 0o644},
		{"etc/group", newGroup, 0o644},
		{"etc/shadow", newShadow, 0o600},
		{"etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n", 0o644},
	}
	if cfg.AuthorizedKeys != "" {
		files = append(files, file{"authorized_keys", line(cfg.AuthorizedKeys), 0o644})
	}
	for login, principals := range cfg.AuthorizedPrincipals {
		files = append(files, file{"principals/" + login, line(principals), 0o644})
	}
	for _, folder := range []string{"etc", "principals", "home"} {
		if err := mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, []byte(f.text), f.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil { // whatever the umask
			return err
		}
	}
	return nil
}

// homes makes the accounts' home folders, and gives them to the accounts where
// the caller can.
func homes(dir string, accounts []account, privileged bool) error {
	for _, a := range accounts {
		if !strings.HasPrefix(a.home, dir+"/") {
			continue
		}
		if err := mkdir(a.home, 0o700); err != nil {
			return err
		}
		if !privileged {
			continue
		}
		if err := os.Chown(a.home, a.uid, a.gid); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// sshdConfig is sshd_config(5) for dir and port. What is not set here and matters
// has the same default in every OpenSSH since 8.
func (cfg Config) sshdConfig(dir, port string, privileged bool) string {
	var lines []string
	if cfg.SSHFolder != "" {
		lines = append(lines, "Include /etc/ssh/sshd_config.d/*.conf")
		if privileged {
			lines = append(lines, "StrictModes yes")
		}
	}
	lines = append(lines,
		"ListenAddress 127.0.0.1:"+port,
		"PidFile none",
		"LogLevel VERBOSE",
		"HostKey "+quote(dir+"/host_key"),

		// Keys only; and root too, so that a refusal of root is about principals.
		"AuthenticationMethods publickey",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UsePAM no",
		"PermitRootLogin prohibit-password",

		// The folder is below a temporary folder that all can write to, which
		// StrictModes would refuse; in it only its owner can.
		"StrictModes no",

		// Nothing of the machine or of the caller's environment (AcceptEnv is empty
		// by default, and has no word for it).
		"PermitUserEnvironment no",
		"PermitUserRC no",
		"PrintMotd no",
		"PrintLastLog no",
		"UseDNS no",

		"LoginGraceTime 30",
		"MaxStartups 500", // a benchmark's connections are no attack
		"Subsystem sftp internal-sftp",
	)
	if cfg.AuthorizedKeys != "" {
		lines = append(lines, "AuthorizedKeysFile "+quote(dir+"/authorized_keys"))
	} else {
		lines = append(lines, "AuthorizedKeysFile none")
	}
	if cfg.TrustedUserCAKeys != "" {
		lines = append(lines, "TrustedUserCAKeys "+quote(dir+"/user_ca"))
	}
	if cfg.HostCertificate != "" {
		lines = append(lines, "HostCertificate "+quote(dir+"/host_cert"))
	}
	switch {
	case cfg.RevokedKeysFile != "":
		lines = append(lines, "RevokedKeys "+quote(cfg.RevokedKeysFile))
	case cfg.RevokedKeys != "":
		lines = append(lines, "RevokedKeys "+quote(dir+"/revoked"))
	}
	if cfg.AuthorizedPrincipals != nil {
		lines = append(lines, "AuthorizedPrincipalsFile "+quote(dir+"/principals/%u"))
	}
	return strings.Join(lines, "\n") + "\n"
}

// quote makes one word of a path; [newFolder] has refused what it could not.
func quote(path string) string { return `"` + path + `"` }

// line returns text with a line end, which sshd wants after the last line too.
func line(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

// newFolder makes the server's folder. Logins other than the caller pass through
// it to their homes (x for all), and none can list it.
func newFolder() (string, error) {
	dir, err := os.MkdirTemp("", "gatepass-sshd-")
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(dir, "\"\\%\n:") || strings.HasPrefix(dir, "/run/") || !filepath.IsAbs(dir) {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("temporary folder %q: set TMPDIR to an absolute path outside /run without quotes, %%, : or \\", dir)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

// mkdir makes a folder with exactly mode, whatever the umask.
func mkdir(path string, mode os.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
