package golden

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// What is random in texts. Each is replaced by a placeholder, or by what it says.
var (
	pemBlocks  = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]+-----(\\n|\n).*?-----END [A-Z0-9 ]+-----(\\n|\n)?`)
	sshLines   = regexp.MustCompile(`[a-z0-9@.-]+ AAAA[0-9A-Za-z+/]{40,}=*`)
	jwts       = regexp.MustCompile(`eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+`)
	base64PEM  = regexp.MustCompile(`LS0tLS1CRUdJTi[0-9A-Za-z+/]+=*`)
	ulids      = regexp.MustCompile(`\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b`)
	serials    = regexp.MustCompile(`"serial":"[0-9a-f]+"`)
	digests    = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	bindings   = regexp.MustCompile(`#gatepass-v1:[0-9A-Za-z_-]{43}`)
	uuids      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	authority  = regexp.MustCompile(`\b(gatepass x509-[a-z]+) [0-9a-f]{8}\b`)
	jwkMembers = regexp.MustCompile(`"(x|y|n|kid)":"[0-9A-Za-z_-]{20,}"`)
)

// Text replaces what is random in a text: keys, certificates and tokens by a summary of
// what they say; serials, join ids, digests and random UUIDs by placeholders. keep are
// UUIDs that are not random.
func Text(text string, keep ...string) string {
	text = base64PEM.ReplaceAllStringFunc(text, func(s string) string {
		if decoded, err := base64.StdEncoding.DecodeString(s); err == nil {
			return "base64:" + PEM(decoded)
		}
		return s
	})
	text = pemBlocks.ReplaceAllStringFunc(text, func(s string) string { return PEM([]byte(strings.ReplaceAll(s, `\n`, "\n"))) })
	text = sshLines.ReplaceAllStringFunc(text, SSH)
	text = jwts.ReplaceAllStringFunc(text, JWT)
	text = ulids.ReplaceAllString(text, "(ULID)")
	text = serials.ReplaceAllString(text, `"serial":"(serial)"`)
	text = authority.ReplaceAllString(text, "$1 (id)")
	text = digests.ReplaceAllString(text, "(sha256)")
	text = bindings.ReplaceAllString(text, "#gatepass-v1:(digest)")
	text = jwkMembers.ReplaceAllString(text, `"$1":"($1)"`)
	return uuids.ReplaceAllStringFunc(text, func(s string) string {
		if slices.ContainsFunc(keep, func(k string) bool { return strings.Contains(k, s) }) {
			return s
		}
		return "(UUID)"
	})
}

// PEM says what PEM blocks hold.
func PEM(text []byte) string {
	var all []string
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return strings.Join(all, "\n")
		}
		all = append(all, fmt.Sprintf("<PEM %s %v: %s>", block.Type, block.Headers, ofBlock(block)))
	}
}

func ofBlock(block *pem.Block) string {
	var (
		key any
		err error
	)
	switch block.Type {
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			return Certificate(c)
		}
	case "X509 CRL":
		var list *x509.RevocationList
		if list, err = x509.ParseRevocationList(block.Bytes); err == nil {
			return fmt.Sprintf("issuer %s, %d entries, for %s, extensions %s", list.Issuer, len(list.RevokedCertificateEntries),
				list.NextUpdate.Sub(list.ThisUpdate), extensions(list.Extensions, "2.5.29.20", "2.5.29.35"))
		}
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "OPENSSH PRIVATE KEY":
		key, err = ssh.ParseRawPrivateKey(pem.EncodeToMemory(block))
	default:
		return "not understood"
	}
	if err != nil {
		return err.Error()
	}
	return keyKind(key)
}

func keyKind(key any) string {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return "ECDSA " + k.Curve.Params().Name
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PrivateKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PrivateKey, *ed25519.PrivateKey, ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}

// Certificate says what a certificate says, but for its key, serial and times.
func Certificate(c *x509.Certificate) string {
	return fmt.Sprintf("subject %s, issuer %s, key %s, signature %s, for %s, usage %b %v, CA %t %d %t, DNS %q, IP %v, email %q, URI %q, extensions %s",
		c.Subject, c.Issuer, keyKind(c.PublicKey), c.SignatureAlgorithm, lifetime(c.NotAfter.Sub(c.NotBefore)), c.KeyUsage, c.ExtKeyUsage,
		c.IsCA, c.MaxPathLen, c.MaxPathLenZero, c.DNSNames, c.IPAddresses, c.EmailAddresses, c.URIs,
		extensions(c.Extensions, "2.5.29.14", "2.5.29.35"))
}

// lifetime is a duration to the minute, since clocks run while a certificate is made; one of
// years, to the year.
func lifetime(d time.Duration) string {
	const year = 8766 * time.Hour
	if d > year/2 {
		return fmt.Sprintf("%d years", d.Round(year)/year)
	}
	return d.Round(time.Minute).String()
}

// SSH says what a line of a public key or a certificate says, but for its key, serial and times.
func SSH(line string) string {
	public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "<SSH " + err.Error() + ">"
	}
	c, ok := public.(*ssh.Certificate)
	if !ok {
		return fmt.Sprintf("<SSH key %s %q>", public.Type(), comment)
	}
	return fmt.Sprintf("<SSH certificate %s of type %d, id %q, principals %q, for %s, options %s, extensions %s, signed by %s as %s>",
		c.Type(), c.CertType, ulids.ReplaceAllString(c.KeyId, "(ULID)"), c.ValidPrincipals,
		lifetime(time.Duration(c.ValidBefore-c.ValidAfter)*time.Second), sorted(c.CriticalOptions), sorted(c.Extensions), c.SignatureKey.Type(), c.Signature.Format)
}

// JWT says what a JWT says, but for its times and its id.
func JWT(token string) string {
	parts := strings.Split(token, ".")
	var said [2]map[string]any
	for i := range said {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, &said[i])
		}
		if err != nil {
			return "<JWT " + err.Error() + ">"
		}
	}
	iat, _ := said[1]["iat"].(float64)
	for name, value := range said[1] {
		if at, ok := value.(float64); ok && slices.Contains([]string{"iat", "exp", "nbf", "auth_time"}, name) {
			said[1][name] = fmt.Sprintf("iat%+d", int(at-iat))
		}
	}
	if kid, ok := said[0]["kid"].(string); ok && len(kid) >= 20 {
		said[0]["kid"] = "(kid)"
	}
	header, _ := json.Marshal(said[0])
	payload, _ := json.Marshal(said[1])
	return fmt.Sprintf("<JWT %s %s>", header, payload)
}

// KRL says what a key revocation list of OpenSSH holds (PROTOCOL.krl).
func KRL(krl []byte) string {
	const header = 8 + 4 + 8 + 8 + 8
	if len(krl) < header {
		return "<KRL of " + fmt.Sprint(len(krl)) + " bytes>"
	}
	said := fmt.Sprintf("%q format %d flags %x", krl[:8], binary.BigEndian.Uint32(krl[8:]), krl[28:header])
	rest := krl[header:]
	next := func() (text []byte) {
		if len(rest) < 4 || len(rest)-4 < int(binary.BigEndian.Uint32(rest)) {
			rest = nil
			return nil
		}
		n := 4 + int(binary.BigEndian.Uint32(rest))
		text, rest = rest[4:n], rest[n:]
		return text
	}
	said += fmt.Sprintf(" reserved %q comment %q", next(), next())
	for len(rest) > 0 {
		kind := rest[0]
		rest = rest[1:]
		said += fmt.Sprintf(" section %d of %d bytes", kind, len(next()))
	}
	return "<KRL " + said + ">"
}

// extensions tells all extensions, and the values of those that are not random.
func extensions(all []pkix.Extension, random ...string) string {
	var said []string
	for _, e := range all {
		value := hex.EncodeToString(e.Value)
		if slices.Contains(random, e.Id.String()) {
			value = "(random)"
		}
		said = append(said, fmt.Sprintf("%s critical %t %s", e.Id, e.Critical, value))
	}
	return "[" + strings.Join(said, "; ") + "]"
}

func sorted(m map[string]string) string {
	var said []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		said = append(said, fmt.Sprintf("%s=%q", name, m[name]))
	}
	return "{" + strings.Join(said, " ") + "}"
}
