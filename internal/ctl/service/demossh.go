package service

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshd is the machine's own sshd, on a port of 127.0.0.1.
type sshd struct {
	port  string
	login string // the account that it runs as, and lets the principal deploy in as
	log   string // the path of what it logs
}

// startSSH starts a server that trusts the SSH user authority, with a host certificate, as
// docs/certificates.md has administrators set it up. Without OpenSSH the demonstration
// goes on without it.
func (d *demo) startSSH(ctx context.Context) error {
	d.heading("An SSH server that trusts the service's authority")
	authority, exit, err := d.command(ctx, nil, "gatepassctl", "ca", "export", "--type", "ssh-user")
	if err != nil || exit != 0 {
		return errors.Join(err, fmt.Errorf("the authority could not be exported (exit code %d)", exit))
	}
	files := map[string]string{"user_ca.pub": authority, "principals": "deploy\n"}
	if err := d.signHost(ctx, files); err != nil {
		return err
	}
	path, err := findSSHD()
	if err == nil {
		_, err = exec.LookPath("ssh")
	}
	if err != nil {
		d.withoutLogin(fmt.Sprintf("OpenSSH is not installed (%v)", err))
		return nil
	}
	if err := d.startSSHD(ctx, path, files); err != nil {
		d.withoutLogin(fmt.Sprintf("%s does not start here: %v", path, err))
		return nil
	}
	d.indented(fmt.Sprintf(`%s listens at 127.0.0.1:%s, with TrustedUserCAKeys. It runs as %s, and can let in nobody
else: AuthorizedPrincipalsFile has it take certificates for deploy as %s.`, path, d.sshd.port, d.sshd.login, d.sshd.login))
	return nil
}

// withoutLogin says that there is no server to log in to, and why.
func (d *demo) withoutLogin(why string) {
	d.sshd = nil
	d.indented("note: " + why + ".\nThe demonstration goes on without a login, and shows what a server would see.")
}

// findSSHD returns sshd's absolute path, without which it does not start.
func findSSHD() (string, error) {
	if path, err := exec.LookPath("sshd"); err == nil && filepath.IsAbs(path) {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, "sshd")); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no sshd")
}

// signHost makes a host key and has it signed.
func (d *demo) signHost(ctx context.Context, files map[string]string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	private, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.pipeline, "ssh_host_key.pub"), ssh.MarshalAuthorizedKey(public), 0o600); err != nil {
		return err
	}
	certificate, exit, err := d.command(ctx, nil, "gatepassctl", "host", "sign", "--principals", "localhost", "ssh_host_key.pub")
	if err != nil || exit != 0 {
		return errors.Join(err, fmt.Errorf("the host's key could not be signed (exit code %d)", exit))
	}
	files["host_key"], files["host_key-cert.pub"] = string(pem.EncodeToMemory(private)), certificate
	return nil
}

// startSSHD writes the server's files and starts it.
func (d *demo) startSSHD(ctx context.Context, path string, files map[string]string) error {
	account, err := user.Current()
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	dir := filepath.Join(d.dir, "sshd")
	files["sshd_config"] = sshdConfig(dir, port)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if account.Uid == "0" {
		d.privilegeSeparation()
	}
	d.sshd = &sshd{port: port, login: account.Username, log: filepath.Join(dir, "log")}
	log, err := os.Create(d.sshd.log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, path, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	cmd.Dir, cmd.Env, cmd.Stderr = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := d.sshd.listening(ctx, ended); err != nil {
		_ = cmd.Process.Kill()
		return err
	}
	d.cleanups = append(d.cleanups, func() error {
		_ = cmd.Process.Kill()
		<-ended
		return nil
	})
	return nil
}

// privilegeSeparation makes the empty folder without which sshd does not start as root,
// where the service that makes it was never started. It is removed at the end.
func (d *demo) privilegeSeparation() {
	const folder = "/run/sshd"
	if os.Mkdir(folder, 0o755) == nil {
		d.cleanups = append(d.cleanups, func() error { return os.Remove(folder) })
	}
}

// sshdConfig is sshd_config(5). Only certificates are accepted. The files are below a temporary
// folder that all can write to, which StrictModes would refuse; in them only their owner can.
func sshdConfig(dir, port string) string {
	path := func(name string) string { return `"` + filepath.Join(dir, name) + `"` }
	return strings.Join([]string{
		"ListenAddress 127.0.0.1:" + port,
		"PidFile none",
		"LogLevel VERBOSE",
		"HostKey " + path("host_key"),
		"HostCertificate " + path("host_key-cert.pub"),
		"TrustedUserCAKeys " + path("user_ca.pub"),
		"AuthorizedPrincipalsFile " + path("principals"),
		"AuthorizedKeysFile none",
		"AuthenticationMethods publickey",
		"PermitRootLogin prohibit-password",
		"UsePAM no",
		"StrictModes no",
		"PermitUserRC no",
	}, "\n") + "\n"
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// listening waits until sshd says that it listens.
func (s *sshd) listening(ctx context.Context, ended chan error) error {
	for range 1000 {
		if strings.Contains(s.logged(), "Server listening on 127.0.0.1") {
			return nil
		}
		select {
		case <-ended:
			return errors.New(strings.Join(strings.Fields(s.logged()), " "))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("it does not listen after 10 s")
}

func (s *sshd) logged() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

const greeting = "hello world"

// login logs in with what is in folder, and must be greeted. Without a server it shows the
// certificate instead.
func (d *demo) login(ctx context.Context, folder string) error {
	if d.sshd == nil {
		return d.show(ctx, folder)
	}
	output, exit, err := d.command(ctx, nil, "ssh", "-p", d.sshd.port, "-F", "./"+folder+"/ssh_config", d.sshd.login+"@localhost", "echo", greeting)
	if err != nil || exit == 0 && strings.Contains(output, greeting) {
		return err
	}
	log := d.sshd.logged()
	if i := strings.Index(log, "not allowed because"); i >= 0 {
		line, _, _ := strings.Cut(log[i:], "\n")
		d.withoutLogin(fmt.Sprintf("the account %s is %s", d.sshd.login, strings.TrimSpace(line)))
		return d.show(ctx, folder)
	}
	return fmt.Errorf("the login failed (exit code %d); the SSH server says:\n%s", exit, log)
}

// show shows what a server would see of the certificate in folder.
func (d *demo) show(ctx context.Context, folder string) error {
	if err := d.succeed(ctx, nil, "gatepass", "inspect", "./"+folder+"/key-cert.pub"); err != nil {
		return err
	}
	d.indented("A server that trusts the authority above lets this in as deploy until then, and as nobody else.")
	return nil
}
