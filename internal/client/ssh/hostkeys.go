package ssh

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// HostKeys decides whether a host is the one that was asked for.
type HostKeys struct {
	// Authorities sign the certificates of hosts.
	Authorities []ssh.PublicKey
	// KnownHosts, made by ReadKnownHosts, knows hosts without certificates; optional.
	KnownHosts ssh.HostKeyCallback
	// Pins, if there are any, are the only keys that a destination may have.
	Pins []Pin
	// InsecureIgnore lets any host be anyone.
	InsecureIgnore bool
	Now            func() time.Time
}

// Pin is a host's public key, or its fingerprint.
type Pin struct {
	key         ssh.PublicKey // nil for a fingerprint
	fingerprint string        // SHA256:… as ssh-keygen -l prints it
}

// ParsePin reads a line of an authorized_keys, known_hosts or .pub file's form, or a fingerprint.
func ParsePin(text string) (Pin, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "SHA256:") && len(text) == len("SHA256:")+43 {
		return Pin{fingerprint: text}, nil
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if _, cert := key.(*ssh.Certificate); err != nil || cert || len(rest) > 0 {
		return Pin{}, cli.Misused("--host-key %q is neither a public key nor a fingerprint", words.Clean(text)).
			Hint("write the line of the host's /etc/ssh/ssh_host_ed25519_key.pub, or SHA256:… as `ssh-keygen -l -f` of that file prints it")
	}
	return Pin{key: key, fingerprint: ssh.FingerprintSHA256(key)}, nil
}

// ReadKnownHosts reads a known_hosts file, with all that sshd(8) says can be in it.
func ReadKnownHosts(path string) (ssh.HostKeyCallback, error) {
	check, err := knownhosts.New(path)
	if err != nil {
		return nil, cli.Misused("reading the known_hosts file: %w", err).
			Hint("make it with: ssh-keyscan HOST > FILE, and compare its fingerprints with the host's")
	}
	return check, nil
}

// check refuses a host by an error that says what would make it known. jump says
// that the host is only passed through; passed are the keys of those before it.
func (h *HostKeys) check(address string, remote net.Addr, key ssh.PublicKey, jump bool, passed []ssh.PublicKey) error {
	if h.InsecureIgnore {
		return nil
	}
	plain := plainKey(key)
	cert, isCert := key.(*ssh.Certificate)
	inFile := h.known(address, remote, key)
	plainInFile := inFile
	var revoked *knownhosts.RevokedError
	if isCert {
		plainInFile = h.known(address, remote, plain)
		// The library tells of a revoked authority only where the file names it as one too.
		if errors.As(h.known(address, remote, cert.SignatureKey), &revoked) {
			return notTrusted(address, plain, "the authority of its certificate is marked @revoked in the known_hosts file").Hint("find out why before you go on")
		}
	}
	if errors.As(inFile, &revoked) || errors.As(plainInFile, &revoked) {
		return notTrusted(address, plain, "its key is marked @revoked in the known_hosts file").Hint("find out why before you go on")
	}
	if pinned := h.pinned(plain); len(h.Pins) > 0 && (!jump || pinned) {
		switch {
		case pinned && slices.ContainsFunc(passed, func(p ssh.PublicKey) bool { return sameKey(p, plain) }):
			return notTrusted(address, plain, "it shows the key of a host that it is reached through").
				Hint("a jump host may answer in its place; leave the jump host out if the two are one")
		case pinned:
			return nil
		}
		return notTrusted(address, plain, "its key is none of --host-key").
			Hint("compare with `ssh-keygen -l -f /etc/ssh/ssh_host_…_key.pub` on the host itself")
	}
	if isCert && len(cert.ValidPrincipals) == 0 {
		inFile = errUnknown // it would be any host's
	}
	if inFile == nil || plainInFile == nil {
		return nil
	}
	var changed *knownhosts.KeyError
	if errors.As(plainInFile, &changed) && len(changed.Want) > 0 && !isCert {
		return notTrusted(address, plain, "the known_hosts file has another key for it").
			Hint("someone may be in between; if the host was set up anew, replace its line in the file")
	}
	if !isCert {
		return notTrusted(address, plain, "it has no certificate of the service's host authority").
			Hint("sign its key with `gatepassctl host sign`, or give the key by --known-hosts FILE or --host-key 'KEY'")
	}
	if err := h.checkCertificate(hostOf(address), cert); err != nil {
		return notTrusted(address, plain, err.Error()).
			Hint("sign its key again with `gatepassctl host sign --principals %s`, or give the key by --known-hosts FILE or --host-key 'KEY'", hostOf(address))
	}
	return nil
}

// checkCertificate is PROTOCOL.certkeys of OpenSSH, and stricter: a certificate
// without principals would be any host's.
func (h *HostKeys) checkCertificate(host string, cert *ssh.Certificate) error {
	switch {
	case cert.CertType != ssh.HostCert:
		return errors.New("its certificate is no host's")
	case len(cert.ValidPrincipals) == 0:
		return errors.New("its certificate names no host")
	}
	if !h.isAuthority(cert.SignatureKey) {
		return errors.New("its certificate is signed by another than the service's host authority")
	}
	checker := ssh.CertChecker{Clock: h.Now}
	if err := checker.CheckCert(host, cert); err != nil {
		return fmt.Errorf("its certificate does not hold: %s", strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return nil
}

func (h *HostKeys) isAuthority(key ssh.PublicKey) bool {
	return slices.ContainsFunc(h.Authorities, func(a ssh.PublicKey) bool { return sameKey(a, key) })
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// plainKey is the key of a certificate, or the key itself.
func plainKey(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

func (h *HostKeys) pinned(key ssh.PublicKey) bool {
	return slices.ContainsFunc(h.Pins, func(p Pin) bool { return p.fingerprint == ssh.FingerprintSHA256(key) })
}

// known asks the known_hosts file; without one nothing is known.
func (h *HostKeys) known(address string, remote net.Addr, key ssh.PublicKey) error {
	if h.KnownHosts == nil {
		return errUnknown
	}
	return h.KnownHosts(address, remote, key)
}

var errUnknown = errors.New("there is no known_hosts file")

func notTrusted(address string, key ssh.PublicKey, why string) *cli.Error {
	e := cli.Errorf(StatusConnection, "host %s is not trusted: %s", hostOf(address), words.Clean(why))
	e.Notes = append(e.Notes, "its key is "+key.Type()+" "+ssh.FingerprintSHA256(key))
	return e
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// algorithms are those to ask a host for: certificates first, then the kinds of
// key that it is known by, so that a host with several keys shows the known one.
// Nothing with SHA-1.
func (h *HostKeys) algorithms(address string) []string {
	certificates := []string{
		ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	}
	plain := []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
	kinds := h.kinds(address)
	if len(kinds) == 0 {
		return append(certificates, plain...)
	}
	for _, algorithm := range plain {
		kind := algorithm
		if strings.HasPrefix(algorithm, "rsa-") {
			kind = ssh.KeyAlgoRSA
		}
		if slices.Contains(kinds, kind) {
			certificates = append(certificates, algorithm)
		}
	}
	return certificates
}

// kinds are the types of the keys that a host is known by, if any is.
func (h *HostKeys) kinds(address string) []string {
	var kinds []string
	for _, pin := range h.Pins {
		if pin.key == nil {
			return nil
		}
		kinds = append(kinds, pin.key.Type())
	}
	// A key that nobody has makes the file tell which ones it knows.
	nobody, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil || len(kinds) > 0 {
		return kinds
	}
	var unknown *knownhosts.KeyError
	if errors.As(h.known(address, &net.TCPAddr{}, nobody), &unknown) {
		for _, known := range unknown.Want {
			kinds = append(kinds, known.Key.Type())
		}
	}
	return kinds
}
