// Command floor is what no join service could leave out, as a server of its own: HTTP by
// net/http, one RS256 signature checked, a CSR's checked, and two P-256 signatures, of an SSH and
// of an X.509 certificate. It has no rules, keeps nothing and records nothing. What a join of
// Gatepass costs is told as a multiple of it.
//
//	floor PUBLIC-KEY.pem
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: floor PUBLIC-KEY.pem")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(publicKey string) error {
	f, err := newFloor(publicKey)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("floor is listening at http://%s\n", l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api.PathJoin, f.serve)
	return http.Serve(l, mux)
}

// floor has one key for all that it signs, and the one of who mints ID tokens.
type floor struct {
	issuer *rsa.PublicKey
	key    *ecdsa.PrivateKey
	signer ssh.Signer
	ca     *x509.Certificate
}

func newFloor(publicKey string) (*floor, error) {
	text, err := os.ReadFile(publicKey)
	if err != nil {
		return nil, err
	}
	issuer, err := parsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", publicKey, err)
	}
	f := &floor{issuer: issuer}
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if f.signer, err = ssh.NewSignerFromKey(f.key); err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "floor"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, f.key.Public(), f.key)
	if err != nil {
		return nil, err
	}
	f.ca, err = x509.ParseCertificate(der)
	return f, err
}

func parsePublicKey(text []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if key, ok := key.(*rsa.PublicKey); ok {
		return key, nil
	}
	return nil, errors.New("not an RSA key")
}

func (f *floor) serve(w http.ResponseWriter, r *http.Request) {
	answer, err := f.join(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client may have gone
}

// join answers a request for an SSH and an X.509 credential, in this order.
func (f *floor) join(r *http.Request) (*api.JoinResponse, error) {
	var request api.JoinRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	if len(request.Credentials) != 2 {
		return nil, errors.New("want an SSH and an X.509 credential")
	}
	if err := f.verify(request.IDToken); err != nil {
		return nil, err
	}
	answer := &api.JoinResponse{}
	for i, sign := range []func(api.CredentialRequest) (string, error){f.ssh, f.x509} {
		certificate, err := sign(request.Credentials[i])
		if err != nil {
			return nil, err
		}
		answer.Credentials = append(answer.Credentials, api.Credential{Name: request.Credentials[i].Name, Certificate: certificate})
	}
	return answer, nil
}

// verify checks a compact JWS (RFC 7515 §3.1) of RS256.
func (f *floor) verify(token string) error {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return errors.New("not a JWS")
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	return rsa.VerifyPKCS1v15(f.issuer, crypto.SHA256, digest[:], signature)
}

func (f *floor) ssh(wish api.CredentialRequest) (string, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(wish.PublicKey))
	if err != nil {
		return "", err
	}
	certificate := &ssh.Certificate{Key: key, Serial: 1, CertType: ssh.UserCert, KeyId: "floor", ValidPrincipals: []string{"deploy"},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix())}
	if err := certificate.SignCert(rand.Reader, f.signer); err != nil {
		return "", err
	}
	return string(ssh.MarshalAuthorizedKey(certificate)), nil
}

// x509 signs by the standard library, which checks what it has signed.
func (f *floor) x509(wish api.CredentialRequest) (string, error) {
	block, _ := pem.Decode([]byte(wish.CSR))
	if block == nil {
		return "", errors.New("the CSR is not PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", err
	}
	if err := csr.CheckSignature(); err != nil {
		return "", err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "floor"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, f.ca, csr.PublicKey, f.key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
