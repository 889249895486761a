package cert

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxSSHKeyLine bounds a public key line, in bytes; RSA of 4096 bits takes 724
// without its comment.
const maxSSHKeyLine = 8 << 10

// sshKeyTypes are the types that are signed. Certificates (…-cert-v01@openssh.com)
// are not: a key must come without claims of its own. Nor are security keys
// (sk-…): no job has a finger to touch one.
var sshKeyTypes = map[string]bool{
	ssh.KeyAlgoECDSA256: true,
	ssh.KeyAlgoECDSA384: true,
	ssh.KeyAlgoED25519:  true,
	ssh.KeyAlgoRSA:      true,
}

// ParseSSHPublicKey reads one public key in the authorized_keys format of
// sshd(8), "TYPE BASE64 [COMMENT]", without options and with at most the one
// newline that ends the line. The comment is ignored. A key of a kind that is
// not signed is a *KeyError; any other error says that the line is malformed.
func ParseSSHPublicKey(line string) (ssh.PublicKey, error) {
	if len(line) > maxSSHKeyLine {
		return nil, fmt.Errorf("a public key line has at most %d bytes", maxSSHKeyLine)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if strings.ContainsAny(line, "\r\n\x00") {
		return nil, errors.New("more than one line; give one public key, as in the file id_ecdsa.pub")
	}
	kind, rest, _ := strings.Cut(line, " ")
	encoded, _, _ := strings.Cut(rest, " ")
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || kind == "" || blobType(blob) != kind {
		return nil, errors.New(`not a public key line; write it as "TYPE BASE64", without options, as in the file id_ecdsa.pub`)
	}
	// Only now is it known to be a key of that type, and not just any text.
	if !sshKeyTypes[kind] {
		return nil, &KeyError{Kind: fmt.Sprintf("%q", kind)}
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, fmt.Errorf("the %s key cannot be read: %w", kind, err)
	}
	if err := checkSSHKey(key); err != nil {
		return nil, err
	}
	// One key has one form, or fingerprints would tell apart what is the same.
	if !bytes.Equal(key.Marshal(), blob) {
		return nil, fmt.Errorf("the %s key is not in its canonical form; write it anew by ssh-keygen", kind)
	}
	return key, nil
}

// checkSSHKey refuses a key of a kind that is not signed, certificates included.
func checkSSHKey(key ssh.PublicKey) error {
	public, ok := key.(ssh.CryptoPublicKey)
	if !ok || !sshKeyTypes[key.Type()] {
		return &KeyError{Kind: fmt.Sprintf("%q", key.Type())}
	}
	return checkKey(public.CryptoPublicKey())
}

// maxSSHType is longer than the name of any key type.
const maxSSHType = 64

// blobType returns the type that an SSH public key says it has (RFC 4253 §6.6),
// empty if it is no key. Type names are printable ASCII (RFC 4251 §6).
func blobType(blob []byte) string {
	var head struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(blob, &head); err != nil || len(head.Type) > maxSSHType || !printableASCII(head.Type) {
		return ""
	}
	return head.Type
}

// printableASCII reports whether s has only characters from space to tilde.
func printableASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
