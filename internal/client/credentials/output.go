// Package credentials turns what the service grants into the files that programs
// read, a file of this package for each type of output. It also reads such files
// and says what they are and until when they hold; it never shows a private key
// or a token.
package credentials

import (
	"crypto/x509"
	"io"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Output is one thing that a join is made for.
type Output interface {
	// Type is the output's name on the command line and in configuration files.
	Type() string
	// Destination is the directory that the files go to; empty keeps them in memory.
	Destination() string
	// Access says who else may use the files.
	Access() destination.Access
	// Size is how many bytes the files have together, at most.
	Size() int
	// Names are the files that Accept may return.
	Names() []string
	// Request makes new keys and asks for what the output needs. Every
	// credential's name begins with the prefix, which keeps several outputs of
	// one join apart.
	Request(prefix string, random io.Reader) ([]api.CredentialRequest, error)
	// Accept checks what was granted against what Request asked for, and
	// returns the files. It trusts nothing in the answer that it can check.
	Accept(Granted) (*Result, error)
}

// Granted is the answer to a join, and when it was received.
type Granted struct {
	Response *api.JoinResponse
	Now      time.Time
	// Path is the absolute path that the files will have.
	Path string
}

// Result is a set of files and what is worth telling about it.
type Result struct {
	Files      []destination.File
	Principals []string  // of the SSH certificate, if there is one
	Subject    string    // of the X.509 certificate or the JWT, if that is what the output is about
	Expires    time.Time // of the credential that ends first
	Next       string    // the command to type next
	Warnings   []string
}

// place is what every output knows of where its files go.
type place struct {
	path   string
	access destination.Access
	size   int // of what is known before the join, besides keys and certificates
}

// Destination implements Output.
func (p place) Destination() string { return p.path }

// Access implements Output.
func (p place) Access() destination.Access { return p.access }

// Size implements Output. Keys, certificates and authorities of one output,
// during a rotation, are well below the constant.
func (p place) Size() int { return 32<<10 + p.size }

// find returns the granted credential of a name.
func find(response *api.JoinResponse, name, kind string) (api.Credential, error) {
	for _, credential := range response.Credentials {
		if credential.Name == name {
			if credential.Type != kind {
				return api.Credential{}, badAnswer("credential %q is of type %q, not %q", name, credential.Type, kind)
			}
			return credential, nil
		}
	}
	return api.Credential{}, badAnswer("credential %q is missing", name)
}

// purposeClient is what our X.509 certificates are for.
var purposeClient = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
