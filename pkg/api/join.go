package api

import "time"

// Paths of the service.
const (
	PathJoin        = "/v1/join"
	PathAuthorities = "/v1/authorities"
	PathRevoked     = "/v1/revoked" // with the names of lists below it
	PathRevokedKRL  = "/v1/revoked/ssh.krl"
	PathRevokedCRL  = "/v1/revoked/x509.crl"
	PathHealth      = "/healthz"
	PathDiscovery   = "/.well-known/openid-configuration"
	PathJWKS        = "/.well-known/jwks.json"
)

// Limits of a join request.
const (
	MaxRequestBytes = 64 << 10 // a larger body is refused with body_too_large
	MaxIDTokenBytes = 16 << 10 // a larger ID token is refused with id_token_malformed
	MaxCredentials  = 16       // credentials that one join may ask for
)

// Join methods: the CI systems whose ID tokens are understood.
const (
	MethodBitbucket = "bitbucket"
	MethodCircleCI  = "circleci"
)

// Types of credential.
const (
	TypeSSH  = "ssh"
	TypeX509 = "x509"
	TypeJWT  = "jwt"
)

// Usages of an X.509 credential. Each is signed by an authority of its own.
const (
	UsageIdentity    = "identity"
	UsageDatabase    = "database"
	UsageApplication = "application"
	UsageKubernetes  = "kubernetes"
)

// JoinRequest is the body of POST /v1/join.
type JoinRequest struct {
	// Token is the name of the token rule to join by.
	Token string `json:"token"`
	// JoinMethod, if given, must be the method of that rule; any other is token_not_found.
	JoinMethod string `json:"join_method,omitempty"`
	// IDToken is the OIDC token that the CI system minted for the job (compact JWS, RFC 7515 §3.1).
	IDToken string `json:"id_token"`
	// RetryKey is up to 256 characters of the client's own choice. It marks a
	// request with a jwt credential as one that may be sent again.
	RetryKey string `json:"retry_key,omitempty"`
	// TTLSeconds is the lifetime asked for, at least 1; absent means the service's default.
	TTLSeconds *int64 `json:"ttl_seconds,omitempty"`
	// Client says who asks; it is recorded and decides nothing.
	Client *ClientInfo `json:"client,omitempty"`
	// Credentials are 1 to 16 wishes with unique names. All are granted or none.
	Credentials []CredentialRequest `json:"credentials"`
}

// ClientInfo describes the program that joins.
type ClientInfo struct {
	Version string `json:"version"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// CredentialRequest asks for one credential. Type decides which of the other
// fields are required: ssh needs PublicKey; x509 needs Usage, CSR and the
// usage's own field; jwt needs Audience.
type CredentialRequest struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Usage of an x509 credential.
	Usage string `json:"usage,omitempty"`
	// PublicKey in the authorized_keys format, without options.
	PublicKey string `json:"public_key,omitempty"`
	// CSR is a PEM certificate request (RFC 2986). Its signature is checked and nothing but its key is used.
	CSR string `json:"csr,omitempty"`
	// DBUser (required) and DBName of a database credential.
	DBUser string `json:"db_user,omitempty"`
	DBName string `json:"db_name,omitempty"`
	// App of an application credential.
	App string `json:"app,omitempty"`
	// KubernetesUser of a kubernetes credential.
	KubernetesUser string `json:"kubernetes_user,omitempty"`
	// Audience of a jwt credential.
	Audience string `json:"audience,omitempty"`
	// Roles narrows the credential to some of the bot's roles; absent means all of them.
	Roles []string `json:"roles,omitempty"`
}

// JoinResponse is the answer to a join that was granted.
type JoinResponse struct {
	JoinID string `json:"join_id"`
	Bot    string `json:"bot"`
	// ExpiresAt is when every credential of this join ends.
	ExpiresAt  time.Time `json:"expires_at"`
	TTLSeconds int64     `json:"ttl_seconds"`
	// TTLLimitedBy is empty when the lifetime is what was asked for, else
	// "bot", "role:NAME", "server" or "retry".
	TTLLimitedBy string       `json:"ttl_limited_by"`
	Credentials  []Credential `json:"credentials"`
	Authorities  Authorities  `json:"authorities"`
}

// Credential is one credential as granted.
type Credential struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Certificate is an OpenSSH certificate line (ssh) or PEM (x509).
	Certificate string `json:"certificate,omitempty"`
	// Token is the JWT of a jwt credential.
	Token string `json:"token,omitempty"`
	// Principals of an ssh certificate.
	Principals []string `json:"principals,omitempty"`
	// Serial is decimal for ssh, hexadecimal for x509, the jti for jwt.
	Serial string `json:"serial"`
}

// Authorities are the public keys and certificates that servers trust.
type Authorities struct {
	// SSHUser and SSHHost are lines in the authorized_keys format; several during a rotation.
	SSHUser []string `json:"ssh_user"`
	SSHHost []string `json:"ssh_host"`
	// X509 holds one or more PEM certificates for each usage.
	X509 map[string]string `json:"x509"`
}

// Health is the answer of GET /healthz.
type Health struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}
