package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
)

// startSSH starts a server that trusts the SSH user authority, with a host
// certificate, as docs/certificates.md has administrators set it up.
func (d *demo) startSSH(ctx context.Context) error {
	d.heading("An SSH server that trusts the service's authority")
	authority, exit, err := d.command(ctx, nil, "gatepassctl", "ca", "export", "--type", "ssh-user")
	if err != nil || exit != 0 {
		return errors.Join(err, fmt.Errorf("the authority could not be exported (exit code %d)", exit))
	}
	config := sshdtest.Config{TrustedUserCAKeys: authority, Logins: []string{"deploy"}}
	if err := d.signHost(ctx, &config); err != nil {
		return err
	}
	d.sshd, err = sshdtest.Start(ctx, config)
	if errors.Is(err, sshdtest.ErrUnavailable) {
		d.indented("note: " + err.Error() + "; a small SSH server in Go stands in")
		d.sshd, err = sshdtest.StartGo(ctx, config)
	}
	if err != nil {
		return err
	}
	d.cleanups = append(d.cleanups, d.sshd.Close)
	d.indented(fmt.Sprintf("%s listens at %s, with the account deploy and TrustedUserCAKeys", software(d.sshd), d.sshd.Addr()))
	return nil
}

// signHost makes a host key and has it signed.
func (d *demo) signHost(ctx context.Context, config *sshdtest.Config) error {
	key, pub, err := newHostKey()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.pipeline, "ssh_host_key.pub"), pub, 0o600); err != nil {
		return err
	}
	certificate, exit, err := d.command(ctx, nil, "gatepassctl", "host", "sign", "--principals", "localhost", "ssh_host_key.pub")
	if err != nil || exit != 0 {
		return errors.Join(err, fmt.Errorf("the host's key could not be signed (exit code %d)", exit))
	}
	config.HostKey, config.HostCertificate = key, certificate
	return nil
}

const greeting = "hello world"

// login logs in with what is in folder, and must be greeted.
func (d *demo) login(ctx context.Context, folder string) error {
	_, port, err := net.SplitHostPort(d.sshd.Addr())
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("ssh"); err != nil {
		d.indented("note: ssh is not installed; a small client in Go logs in with the same files")
		return d.goLogin(folder)
	}
	output, exit, err := d.command(ctx, nil, "ssh", "-p", port, "-F", "./"+folder+"/ssh_config", "deploy@localhost", "echo", greeting)
	if err != nil {
		return err
	}
	if exit != 0 || !strings.Contains(output, greeting) {
		return fmt.Errorf("the login failed (exit code %d); the SSH server says:\n%s", exit, d.sshd.Log())
	}
	return nil
}

// goLogin is login without OpenSSH.
func (d *demo) goLogin(folder string) error {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(d.pipeline, folder, name))
		if err != nil {
			return nil // parsing it fails
		}
		return b
	}
	key, err := ssh.ParsePrivateKey(read("key"))
	if err != nil {
		return err
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(read("key-cert.pub"))
	if err != nil {
		return err
	}
	certificate, ok := pub.(*ssh.Certificate)
	if !ok {
		return errors.New("key-cert.pub is not a certificate")
	}
	signer, err := ssh.NewCertSigner(certificate, key)
	if err != nil {
		return err
	}
	hosts, err := knownhosts.New(filepath.Join(d.pipeline, folder, "known_hosts"))
	if err != nil {
		return err
	}
	// Unlike ssh, the package takes a pattern without a port for one of port 22.
	check := func(_ string, remote net.Addr, key ssh.PublicKey) error { return hosts("localhost:22", remote, key) }
	client, err := ssh.Dial("tcp", d.sshd.Addr(), &ssh.ClientConfig{
		User: "deploy", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: check,
		HostKeyAlgorithms: []string{ssh.CertAlgoED25519v01},
	})
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	output, err := session.CombinedOutput("echo " + greeting)
	d.indented(string(output))
	if err == nil && !strings.Contains(string(output), greeting) {
		err = errors.New("the SSH server did not greet")
	}
	return err
}

// software names what answers.
func software(s *sshdtest.Server) string {
	if s.Software() == "go" {
		return "the stand-in"
	}
	return s.Software()
}
