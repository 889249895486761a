package credentials

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
	"software.sslmate.com/src/go-pkcs12"
)

// isPKCS12 tells a PFX (RFC 7292 §4) by its beginning: a sequence with version 3.
func isPKCS12(raw []byte) bool {
	var outer asn1.RawValue
	var version int
	if rest, err := asn1.Unmarshal(raw, &outer); err != nil || len(rest) > 0 || outer.Tag != asn1.TagSequence || !outer.IsCompound {
		return false
	}
	_, err := asn1.Unmarshal(outer.Bytes, &version)
	return err == nil && version == 3
}

// fromPKCS12 reads a key store or a trust store. Without its password it says so.
func fromPKCS12(path string, raw []byte, password func(dir string) (string, bool)) ([]Credential, error) {
	secret, ok := password(filepath.Dir(path))
	if !ok {
		return []Credential{{Kind: "pkcs12 file", Note: "locked: give --password-file"}}, nil
	}
	if authorities, err := pkcs12.DecodeTrustStore(raw, secret); err == nil {
		var all []Credential
		for _, cert := range authorities {
			all = append(all, fromCertificate(cert))
		}
		return all, nil
	}
	key, cert, more, err := pkcs12.DecodeChain(raw, secret)
	if err != nil {
		return nil, fmt.Errorf("the PKCS#12 file cannot be read: it is damaged, or has another password")
	}
	var all []Credential
	if signer, err := ssh.NewSignerFromKey(key); err == nil {
		public := signer.PublicKey()
		all = append(all, Credential{Kind: "private key", Algorithm: public.Type(), Fingerprint: ssh.FingerprintSHA256(public)})
	}
	for _, c := range append([]*x509.Certificate{cert}, more...) {
		all = append(all, fromCertificate(c))
	}
	return all, nil
}

// passwordOf returns the password of a file that was named, or else of the one
// that gatepass writes beside a key store.
func passwordOf(named string) func(dir string) (string, bool) {
	return func(dir string) (string, bool) {
		file := named
		if file == "" {
			file = filepath.Join(dir, filePassword)
		}
		raw, err := os.ReadFile(file)
		return strings.TrimRight(string(raw), "\r\n"), err == nil && len(raw) <= 4096
	}
}

// isKubeconfig is a cheap look before the YAML is parsed.
func isKubeconfig(raw []byte) bool {
	return bytes.Contains(raw, []byte("kind: Config")) || bytes.Contains(raw, []byte(`"kind"`)) && bytes.Contains(raw, []byte(`"Config"`))
}

// fromKubeconfig lists the file itself, and what it holds.
func fromKubeconfig(raw []byte) ([]Credential, error) {
	var c kubeconfig
	if err := yaml.Unmarshal(raw, &c); err != nil || c.Kind != "Config" {
		return nil, errNothing
	}
	self := Credential{Kind: "kubeconfig"}
	var inside []Credential
	add := func(data string) error {
		decoded, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return fmt.Errorf("the kubeconfig holds data that is not base64")
		}
		found, err := fromPEM(decoded)
		inside = append(inside, found...)
		return err
	}
	for _, named := range c.Clusters {
		var cluster kubeCluster
		if named.Cluster != nil {
			cluster = *named.Cluster
		}
		self.Names = append(self.Names, cluster.Server)
		if err := add(cluster.CA); err != nil {
			return nil, err
		}
	}
	for _, named := range c.Users {
		var user kubeUser
		if named.User != nil {
			user = *named.User
		}
		for _, data := range []string{user.Certificate, user.Key} {
			if err := add(data); err != nil {
				return nil, err
			}
		}
		if user.Token != "" {
			found, err := fromJWT([]byte(user.Token))
			if err != nil {
				found = []Credential{{Kind: "token", Note: "it is not a JWT"}}
			}
			inside = append(inside, found...)
		}
		if plugin := user.Exec; plugin != nil {
			self.Plugin = strings.Join(append([]string{plugin.Command}, plugin.Args...), " ")
		}
	}
	return append([]Credential{self}, inside...), nil
}
