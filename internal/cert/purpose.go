package cert

import (
	"slices"
	"time"
)

// MaxTTL is the longest lifetime of a credential that a deployment may allow.
const MaxTTL = 12 * time.Hour

// Purpose is what an authority's key may sign. One authority, one key, one purpose.
type Purpose string

// The purposes.
const (
	SSHUser         Purpose = "ssh-user"
	SSHHost         Purpose = "ssh-host"
	X509Identity    Purpose = "x509-identity"
	X509Database    Purpose = "x509-database"
	X509Application Purpose = "x509-application"
	X509Kubernetes  Purpose = "x509-kubernetes"
	JWT             Purpose = "jwt"
)

// Purposes returns all purposes, in the order in which they are listed to people.
func Purposes() []Purpose {
	return []Purpose{SSHUser, SSHHost, X509Identity, X509Database, X509Application, X509Kubernetes, JWT}
}

// X509Purposes returns the purposes of X.509 authorities, in the same order.
func X509Purposes() []Purpose {
	return []Purpose{X509Identity, X509Database, X509Application, X509Kubernetes}
}

// IsX509 reports whether an authority of this purpose has a certificate.
func (p Purpose) IsX509() bool { return slices.Contains(X509Purposes(), p) }

// Revocable reports whether certificates of this purpose can be revoked: whether
// there is a list of those that are.
func (p Purpose) Revocable() bool { return p == SSHUser || p.IsX509() }
