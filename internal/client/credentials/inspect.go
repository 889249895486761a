package credentials

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Credential is what one file holds. Fields that do not apply are empty.
type Credential struct {
	File string `json:"file"`
	// Kind is "ssh certificate", "ssh host certificate", "x509 certificate",
	// "private key", "public key", "jwt", "kubeconfig", "token" or "pkcs12 file".
	Kind        string   `json:"kind"`
	Algorithm   string   `json:"algorithm,omitempty"`
	Fingerprint string   `json:"fingerprint,omitempty"`
	KeyID       string   `json:"key_id,omitempty"`
	Principals  []string `json:"principals,omitempty"`
	Subject     string   `json:"subject,omitempty"`
	Names       []string `json:"names,omitempty"`  // subject alternative names, audiences, API servers
	Plugin      string   `json:"plugin,omitempty"` // that a kubeconfig has run for credentials
	Note        string   `json:"note,omitempty"`   // why more is not known
	Issuer      string   `json:"issuer,omitempty"`
	Serial      string   `json:"serial,omitempty"`
	Authority   bool     `json:"authority,omitempty"`
	// Extensions and CriticalOptions of an SSH certificate, as name or name=value.
	Extensions      []string   `json:"extensions,omitempty"`
	CriticalOptions []string   `json:"critical_options,omitempty"`
	ValidFrom       *time.Time `json:"valid_from,omitempty"`
	ValidUntil      *time.Time `json:"valid_until,omitempty"`
	// RemainingSeconds is negative for what has expired.
	RemainingSeconds *int64 `json:"remaining_seconds,omitempty"`
}

// maxFile bounds what is read: every credential is smaller, the system's authorities included.
const maxFile = 1 << 20

// errNothing means that a file holds no credential.
var errNothing = errors.New("holds no credential that gatepass knows")

// Inspect reads a file, or every file of a directory. In a directory what is no
// credential is passed over; a file that is named must be one.
//
// The files of a directory of gatepass's own are followed one level deep. The
// password file is for PKCS#12; empty stands for the one beside it.
func Inspect(path, passwordFile string, now time.Time) ([]Credential, error) {
	return read(path, reader{now: now, password: passwordOf(passwordFile)}, 1)
}

// reader is what stays the same from file to file.
type reader struct {
	now      time.Time
	password func(dir string) (string, bool)
}

func read(path string, r reader, deeper int) ([]Credential, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return r.file(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var all []Credential
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		// A link is followed: that is how a set is laid out.
		info, err := os.Stat(name)
		if err == nil && info.IsDir() && deeper > 0 && entry.Type() == fs.ModeSymlink {
			found, err := read(name, r, deeper-1)
			if err != nil && !errors.Is(err, errNothing) {
				return nil, err
			}
			all = append(all, found...)
			continue
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := r.file(name)
		if err != nil && !errors.Is(err, errNothing) {
			return nil, err
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %w", path, errNothing)
	}
	return all, nil
}

func (r reader) file(path string) ([]Credential, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%s is larger than any credential", path)
	}
	found, err := r.bytes(path, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range found {
		found[i].File = path
		found[i].remaining(r.now)
	}
	return found, nil
}

// bytes is Bytes, and reads what needs a password too.
func (r reader) bytes(path string, raw []byte) ([]Credential, error) {
	if isPKCS12(raw) {
		return fromPKCS12(path, raw, r.password)
	}
	return Bytes(raw)
}

// Bytes reads PEM blocks, one OpenSSH public key or certificate line, a JWT, or a kubeconfig.
func Bytes(raw []byte) ([]Credential, error) {
	trimmed := bytes.TrimSpace(raw)
	switch {
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		return fromPEM(trimmed)
	case bytes.Count(trimmed, []byte(".")) == 2 && !bytes.ContainsAny(trimmed, " \n"):
		return fromJWT(trimmed)
	case isKubeconfig(trimmed):
		return fromKubeconfig(trimmed)
	}
	return fromSSH(trimmed)
}

func (c *Credential) valid(from, until time.Time) {
	from, until = from.UTC(), until.UTC()
	c.ValidFrom, c.ValidUntil = &from, &until
}

func (c *Credential) remaining(now time.Time) {
	if c.ValidUntil == nil {
		return
	}
	seconds := int64(c.ValidUntil.Sub(now) / time.Second)
	if seconds == 0 && !c.ValidUntil.After(now) {
		seconds = -1
	}
	c.RemainingSeconds = &seconds
}

// Warning says that the credential has ended or is about to, or is empty.
func (c *Credential) Warning() string {
	switch {
	case c.RemainingSeconds == nil:
		return ""
	case *c.RemainingSeconds < 0:
		return fmt.Sprintf("%s: the %s expired %s ago", c.File, c.Kind, time.Duration(-*c.RemainingSeconds)*time.Second)
	case *c.RemainingSeconds < 60:
		return fmt.Sprintf("%s: the %s expires in %s", c.File, c.Kind, time.Duration(*c.RemainingSeconds)*time.Second)
	}
	return ""
}
