package hostsetup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// certificateSuffix is what ssh-keygen appends to the name of a key for its certificate.
const certificateSuffix = "-cert.pub"

// hostCertificate reads a host certificate and compares it with its key. sshd itself
// only logs that it cannot use one.
func (d *Dir) hostCertificate(name string) (*ssh.Certificate, error) {
	fault := func(format string, args ...any) (*ssh.Certificate, error) {
		return nil, fmt.Errorf("host certificate %s: %w", name, fmt.Errorf(format, args...))
	}
	keyFile := strings.TrimSuffix(name, certificateSuffix) + ".pub"
	text, err := d.readAnywhere(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fault("it is not there; make it by gatepassctl host sign --write %s", keyFile)
	}
	if err != nil {
		return fault("%w", err)
	}
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return fault("it is no certificate: %w", err)
	}
	c, ok := parsed.(*ssh.Certificate)
	if !ok || c.CertType != ssh.HostCert {
		return fault("it is no host certificate; make one by gatepassctl host sign")
	}
	if text, err = d.readAnywhere(keyFile); err != nil {
		return fault("its key: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return fault("its key %s cannot be read: %w", keyFile, err)
	}
	if !bytes.Equal(key.Marshal(), c.Key.Marshal()) {
		return fault("it is for another key than %s; sign that by gatepassctl host sign", keyFile)
	}
	return c, nil
}

// soon is how long before its end a host certificate is told of.
const soon = 14 * 24 * time.Hour

// checkHostCertificate finds what is wrong with one. authorities are the service's
// ssh-host keys; none if they are not known here.
func (f *findings) checkHostCertificate(d *Dir, name string, authorities []ssh.PublicKey, now time.Time) {
	again := "sign the key again by gatepassctl host sign --write, and reload sshd"
	c, err := d.hostCertificate(name)
	if err != nil {
		f.add(name, strings.TrimPrefix(err.Error(), "host certificate "+name+": "), again)
		return
	}
	until := time.Unix(int64(min(c.ValidBefore, 1<<62)), 0).UTC()
	switch {
	case c.ValidBefore == ssh.CertTimeInfinity:
	case !now.Before(until):
		f.add(name, "expired at "+until.Format(time.RFC3339)+": clients do not know the host by it", again)
	case now.Before(time.Unix(int64(c.ValidAfter), 0)):
		f.add(name, "is not valid yet", "set the host's clock, or wait")
	case until.Sub(now) < soon:
		f.warn(name, "expires at "+until.Format(time.RFC3339), again)
	}
	if len(authorities) > 0 && !contains(authorities, c.SignatureKey) {
		f.add(name, "was signed by "+ssh.FingerprintSHA256(c.SignatureKey)+", which is not the service's ssh-host authority", again)
	}
}

func contains(keys []ssh.PublicKey, key ssh.PublicKey) bool {
	for _, k := range keys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}
