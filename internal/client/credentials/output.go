// Package credentials turns what the service grants into the files that programs
// read, a file of this package for each kind of output. It also reads such files
// and says what they are and until when they hold; it never shows a private key
// or a token.
package credentials

import (
	"crypto/x509/pkix"
	"fmt"
	"io"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Output is one thing that a join is made for: what is asked of the service, and the
// files that become of the answer.
type Output struct {
	Kind  string
	Place Place

	asks []api.CredentialRequest // as sent, but for keys, roles and the prefix of names
	// is reports whether an X.509 certificate is for whom it was asked; nil takes any.
	is        func(pkix.Name) bool
	files     []file
	known     int    // bytes of the files that are known before the join
	hosts     string // the hosts that the SSH host authority vouches for, as known_hosts has it
	hostLines []byte // of known_hosts, for hosts without certificates

	next      func(*granted) string       // the command to type next; nil if there is none
	variables func(dir string) []Variable // nil if there are none
	warnings  func(*granted) []string

	// Of the last request.
	prefix string
	random io.Reader
	key    *keyPair
}

// file is one file of an output.
type file struct {
	name    string // a plain name, or a directory's and a plain name with a slash between
	content func(*granted) ([]byte, error)
}

// Variable is an environment variable by which programs find a file of their own accord.
type Variable struct{ Name, Value string }

// Answer is the answer to a join, and when it was received.
type Answer struct {
	Response *api.JoinResponse
	Now      time.Time
	// Path is the absolute path of the directory that the files will be in.
	Path string
	// IDToken is what the join was made with. No credential may hold it: each is shown to servers.
	IDToken string
}

// Result is a set of files and what is worth telling about it.
type Result struct {
	Files      []destination.File
	Principals []string  // of the SSH certificate, if there is one
	Subject    string    // of the X.509 certificate or the JWT, if that is what the output is about
	Expires    time.Time // of the credential that ends first
	Next       string    // the command to type next
	Variables  []Variable
	Warnings   []string
	// Login is the SSH certificate with its key, nil if there is none.
	Login *SSHLogin
}

// Names are the files that Accept may return.
func (o *Output) Names() []string {
	var names []string
	for _, file := range o.files {
		names = append(names, file.name)
	}
	return names
}

// Size is how many bytes the files have together, at most. Keys, certificates and
// authorities of one output, during a rotation, are well below the constant.
func (o *Output) Size() int { return 32<<10 + o.known }

// Request makes a new key and asks for what the output needs. Every credential's name
// begins with the prefix, which keeps several outputs of one join apart. keys are the
// fingerprints of the credentials' keys, as JoinRequest.Digest takes them.
func (o *Output) Request(prefix string, random io.Reader) (requests []api.CredentialRequest, keys []string, err error) {
	o.prefix, o.random, o.key = prefix, random, nil
	for _, ask := range o.asks {
		if ask.Type != api.TypeJWT && o.key == nil {
			if o.key, err = newKeyPair(random); err != nil {
				return nil, nil, err
			}
		}
		ask.Name, ask.Roles = prefix+ask.Name, o.Place.Roles
		var public []byte
		switch ask.Type {
		case api.TypeSSH:
			ask.PublicKey, public = keyLine(o.key.ssh), o.key.ssh.Marshal()
		case api.TypeX509:
			if ask.CSR, public, err = o.key.csr(random); err != nil {
				return nil, nil, err
			}
		}
		fingerprint := ""
		if public != nil {
			fingerprint = api.KeyFingerprint(public)
		}
		requests, keys = append(requests, ask), append(keys, fingerprint)
	}
	return requests, keys, nil
}

// Accept checks what was granted against what Request asked for, and returns the
// files. It trusts nothing in the answer that it can check.
func (o *Output) Accept(answer Answer) (*Result, error) {
	g := &granted{Output: o, dir: answer.Path}
	for _, ask := range o.asks {
		if err := g.accept(answer, ask); err != nil {
			return nil, err
		}
	}
	r := g.result()
	for _, file := range o.files {
		data, err := file.content(g)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", file.name, err)
		}
		r.Files = append(r.Files, destination.File{Name: file.name, Data: data})
	}
	if o.next != nil {
		r.Next = o.next(g)
	}
	if o.variables != nil {
		r.Variables = o.variables(g.dir)
	}
	if o.warnings != nil {
		r.Warnings = o.warnings(g)
	}
	return r, nil
}
