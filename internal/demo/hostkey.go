package demo

import (
	"crypto/ed25519"
	"crypto/rand"

	"golang.org/x/crypto/ssh"
)

// newHostKey returns a new host key and its public half as a file has it.
func newHostKey() (ed25519.PrivateKey, []byte, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	return key, ssh.MarshalAuthorizedKey(line), nil
}
