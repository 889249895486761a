package service

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// The paths of the two CIs' issuers, as theirs are.
const (
	bitbucketPath = "/2.0/workspaces/acme/pipelines-config/identity/oidc"
	circleCIPath  = "/org/00000000-0000-0000-0000-000000000001"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
	keyID         = "demo"
)

// issuer stands in for the OIDC issuers of both CIs, on a port of 127.0.0.1. They share a key.
type issuer struct {
	server *http.Server
	host   string // host:port
	caPEM  string // what the server's certificate is checked by
	key    *rsa.PrivateKey
}

func startIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	certificate, err := serverCertificate()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key, host: listener.Addr().String(),
		caPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))}
	mux := http.NewServeMux()
	for _, path := range []string{bitbucketPath, circleCIPath} {
		mux.HandleFunc("GET "+path+discoveryPath, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"issuer": i.url(path), "jwks_uri": i.url(path) + keysPath})
		})
		mux.HandleFunc("GET "+path+keysPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, i.keySet()) })
	}
	i.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
	}
	go func() { _ = i.server.ServeTLS(listener, "", "") }() // until close
	return i, nil
}

func (i *issuer) close() error { return i.server.Shutdown(context.Background()) }

// url is the issuer at one of the paths.
func (i *issuer) url(path string) string { return "https://" + i.host + path }

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// keySet is the public key as issuers publish it (RFC 7517 §5).
func (i *issuer) keySet() map[string]any {
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	return map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
		"n": number(i.key.N), "e": number(big.NewInt(int64(i.key.E))),
	}}}
}

// mint mints the ID token of a job on a branch, from the claims in a file of the guides.
func (i *issuer) mint(path, file, branch string) (string, error) {
	text, err := guides.ReadFile("guides/" + file)
	if err != nil {
		return "", err
	}
	fill := strings.NewReplacer("STEP", uuid.NewString(), "PIPELINE", uuid.NewString(), "BRANCH", branch)
	var claims jwt.MapClaims
	if err := json.Unmarshal([]byte(fill.Replace(string(text))), &claims); err != nil {
		return "", err
	}
	now := time.Now()
	claims["iss"], claims["iat"], claims["exp"] = i.url(path), now.Unix(), now.Add(time.Hour).Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = keyID
	return token.SignedString(i.key)
}

// serverCertificate makes a certificate for 127.0.0.1 that is its own authority.
func serverCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gatepass demo"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
