package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newIdentity(t *testing.T, until time.Time) Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	authority, err := ssh.NewSignerFromKey(key)
	must(t, err)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public, err := ssh.NewPublicKey(&own.PublicKey)
	must(t, err)
	cert := &ssh.Certificate{Key: public, CertType: ssh.UserCert, ValidPrincipals: []string{"deploy"}, ValidBefore: uint64(until.Unix())}
	must(t, cert.SignCert(rand.Reader, authority))
	return Identity{Key: own, Certificate: cert, Comment: "test", Expires: until}
}

func dial(t *testing.T, socket string) agent.ExtendedAgent {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return agent.NewClient(conn)
}

func TestAgentServesOneCertificate(t *testing.T) {
	now := time.Now()
	id := newIdentity(t, now.Add(time.Hour))
	socket := filepath.Join(t.TempDir(), "agent.sock")
	clock := now
	server, err := Listen(socket, id, func() time.Time { return clock })
	must(t, err)
	client := dial(t, socket)
	keys, err := client.List()
	must(t, err)
	if len(keys) != 1 || keys[0].Comment != "test" {
		t.Fatalf("it lists %v", keys)
	}
	data := []byte("signed")
	signature, err := client.Sign(keys[0], data)
	must(t, err)
	must(t, id.Certificate.Key.Verify(data, signature))

	other := newIdentity(t, now.Add(time.Hour))
	for what, refused := range map[string]func() error{
		"adding":                 func() error { return client.Add(agent.AddedKey{PrivateKey: other.Key}) },
		"removing":               func() error { return client.Remove(id.Certificate) },
		"removing all":           client.RemoveAll,
		"locking":                func() error { return client.Lock([]byte("x")) },
		"unlocking":              func() error { return client.Unlock([]byte("x")) },
		"signing with another":   func() error { _, err := client.Sign(other.Certificate, data); return err },
		"signing with the plain": func() error { _, err := client.Sign(id.Certificate.Key, data); return err },
		"an extension":           func() error { _, err := client.Extension("session-bind@openssh.com", nil); return err },
	} {
		if refused() == nil {
			t.Errorf("%s is not refused", what)
		}
	}
	if keys, err := client.List(); err != nil || len(keys) != 1 {
		t.Errorf("after all that it lists %v: %v", keys, err)
	}

	clock = now.Add(time.Hour)
	if keys, err := client.List(); err != nil || len(keys) != 0 {
		t.Errorf("after the certificate's end it lists %v: %v", keys, err)
	}
	if _, err := client.Sign(id.Certificate, data); err == nil {
		t.Error("after the certificate's end it signs")
	}
	must(t, server.Close())
	if _, err := client.List(); err == nil {
		t.Error("a connection outlives the agent")
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket outlives the agent")
	}
}

func TestAddTo(t *testing.T) {
	keyring := agent.NewKeyring()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, conn)
		}
	}()
	must(t, Probe(socket))
	now := time.Now()
	must(t, AddTo(socket, newIdentity(t, now.Add(time.Hour)), now))
	if keys, err := keyring.List(); err != nil || len(keys) != 1 {
		t.Errorf("it has %v: %v", keys, err)
	}
	if err := AddTo(socket, newIdentity(t, now), now); err == nil {
		t.Error("an expired certificate is added")
	}
	if err := Probe(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a socket that is not there answers")
	}
}
