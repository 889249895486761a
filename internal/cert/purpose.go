package cert

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
