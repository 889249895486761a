package credentials

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

// fromSSH reads one line of a .pub file.
func fromSSH(raw []byte) ([]Credential, error) {
	public, _, _, rest, err := ssh.ParseAuthorizedKey(raw)
	if err != nil || len(bytes.TrimSpace(rest)) > 0 || bytes.HasPrefix(raw, []byte("@")) {
		return nil, errNothing
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok {
		return []Credential{{Kind: "public key", Algorithm: public.Type(), Fingerprint: ssh.FingerprintSHA256(public)}}, nil
	}
	c := Credential{
		Kind:            "ssh certificate",
		Algorithm:       cert.Key.Type(),
		Fingerprint:     ssh.FingerprintSHA256(cert.Key),
		KeyID:           cert.KeyId,
		Principals:      cert.ValidPrincipals,
		Issuer:          ssh.FingerprintSHA256(cert.SignatureKey),
		Serial:          strconv.FormatUint(cert.Serial, 10),
		Extensions:      options(cert.Extensions),
		CriticalOptions: options(cert.CriticalOptions),
	}
	if cert.CertType == ssh.HostCert {
		c.Kind = "ssh host certificate"
	}
	// All bits set means for ever (PROTOCOL.certkeys), which has no date.
	if cert.ValidBefore != math.MaxUint64 {
		c.valid(sshTime(cert.ValidAfter), sshTime(cert.ValidBefore))
	}
	return []Credential{c}, nil
}

func options(m map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] != "" {
			name += "=" + m[name]
		}
		out = append(out, name)
	}
	return out
}

// fromPEM reads certificates and private keys, several to a file.
func fromPEM(raw []byte) ([]Credential, error) {
	var all []Credential
	for len(bytes.TrimSpace(raw)) > 0 {
		block, rest := pem.Decode(raw)
		if block == nil {
			return nil, fmt.Errorf("the PEM text is cut off or damaged")
		}
		c, err := fromBlock(block)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		raw = rest
	}
	return all, nil
}

func fromBlock(block *pem.Block) (Credential, error) {
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Credential{}, fmt.Errorf("the X.509 certificate cannot be read: %w", err)
		}
		return fromCertificate(cert), nil
	case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY":
		signer, err := ssh.ParsePrivateKey(pem.EncodeToMemory(block))
		if err != nil {
			// The parser's message is not shown: nothing about a key is worth the risk.
			return Credential{}, fmt.Errorf("the private key cannot be read: it is damaged, locked by a passphrase or of an unknown kind")
		}
		public := signer.PublicKey()
		return Credential{Kind: "private key", Algorithm: public.Type(), Fingerprint: ssh.FingerprintSHA256(public)}, nil
	}
	return Credential{}, errNothing
}

func fromCertificate(cert *x509.Certificate) Credential {
	sum := sha256.Sum256(cert.Raw)
	c := Credential{
		Kind:        "x509 certificate",
		Algorithm:   cert.PublicKeyAlgorithm.String(),
		Fingerprint: "sha256:" + hex.EncodeToString(sum[:]),
		Subject:     cert.Subject.String(),
		Issuer:      cert.Issuer.String(),
		Serial:      cert.SerialNumber.Text(16),
		Authority:   cert.IsCA,
	}
	for _, uri := range cert.URIs {
		c.Names = append(c.Names, "URI:"+uri.String())
	}
	for _, name := range cert.DNSNames {
		c.Names = append(c.Names, "DNS:"+name)
	}
	for _, ip := range cert.IPAddresses {
		c.Names = append(c.Names, "IP:"+ip.String())
	}
	for _, email := range cert.EmailAddresses {
		c.Names = append(c.Names, "email:"+email)
	}
	c.valid(cert.NotBefore, cert.NotAfter)
	return c
}

// fromJWT shows a token's registered claims (RFC 7519 §4.1), unverified.
func fromJWT(raw []byte) ([]Credential, error) {
	var claims struct {
		Issuer   string  `json:"iss"`
		Subject  string  `json:"sub"`
		ID       string  `json:"jti"`
		Audience any     `json:"aud"`
		Issued   float64 `json:"iat"`
		Expires  float64 `json:"exp"`
	}
	if err := readClaims(string(raw), &claims); err != nil {
		return nil, errNothing
	}
	c := Credential{Kind: "jwt", Issuer: claims.Issuer, Subject: claims.Subject, Serial: claims.ID}
	switch audience := claims.Audience.(type) {
	case string:
		c.Names = []string{"aud:" + audience}
	case []any:
		for _, a := range audience {
			c.Names = append(c.Names, fmt.Sprintf("aud:%v", a))
		}
	}
	if claims.Expires > 0 && claims.Expires <= 253402300799 {
		c.valid(time.Unix(int64(max(claims.Issued, 0)), 0), time.Unix(int64(claims.Expires), 0))
	}
	return []Credential{c}, nil
}
