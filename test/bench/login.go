package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// logins is what a login costs at the machine's own sshd: by a certificate that a join was
// granted, and by the same key without it, in turns.
func (b *bench) logins() error {
	plain, certified, authorities, err := b.sshSigners()
	if err != nil {
		return err
	}
	sshd, err := sshdtest.Start(b.ctx, sshdtest.Config{
		TrustedUserCAKeys: authorities, Logins: []string{"deploy"}, AuthorizedPrincipals: map[string]string{"deploy": "deploy"},
		AuthorizedKeys: string(ssh.MarshalAuthorizedKey(plain.PublicKey())),
	})
	if err != nil {
		return err
	}
	defer sshd.Close()
	const turns = 5
	spent, took := map[ssh.Signer]float64{}, map[ssh.Signer][]float64{}
	for range turns {
		for _, signer := range []ssh.Signer{plain, certified} {
			before, err := cpu(sshd.PID())
			if err != nil {
				return err
			}
			for range b.size.logins / turns {
				began := time.Now()
				if err := login(sshd, signer); err != nil {
					return err
				}
				took[signer] = append(took[signer], ms(time.Since(began)))
			}
			after, err := settled(sshd.PID())
			if err != nil {
				return err
			}
			spent[signer] += ms(after - before)
		}
	}
	for _, l := range []struct {
		name   string
		signer ssh.Signer
	}{{"a plain key", plain}, {"a certificate", certified}} {
		b.table.add("login", l.name+": CPU of sshd a login", spent[l.signer]/float64(len(took[l.signer])), "ms", nil)
		b.table.add("login", l.name+": a login", median(took[l.signer]), "ms", nil)
	}
	b.table.add("login", "a certificate: CPU of sshd a login", spent[certified]/spent[plain], "x plain key", nil)
	b.table.add("login", "a certificate: a login", median(took[certified])/median(took[plain]), "x plain key", nil)
	return nil
}

// sshSigners joins, and returns a key, the key with the certificate that was granted, and the
// authorities that sshd has to trust.
func (b *bench) sshSigners() (plain, certified ssh.Signer, authorities string, err error) {
	s, err := b.serve(onDisk, b.dir)
	if err != nil {
		return nil, nil, "", err
	}
	defer s.stop()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, "", err
	}
	if plain, err = ssh.NewSignerFromKey(key); err != nil {
		return nil, nil, "", err
	}
	body, err := b.request(key)
	if err != nil {
		return nil, nil, "", err
	}
	text, err := b.join(newClient(1, nil), s.url, body)
	if err != nil {
		return nil, nil, "", err
	}
	var answer api.JoinResponse
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, nil, "", err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(answer.Credentials[0].Certificate))
	if err != nil {
		return nil, nil, "", err
	}
	certificate, ok := public.(*ssh.Certificate)
	if !ok {
		return nil, nil, "", errors.New("a join was not granted an SSH certificate")
	}
	certified, err = ssh.NewCertSigner(certificate, plain)
	return plain, certified, strings.Join(answer.Authorities.SSHUser, "\n"), err
}

// login logs in and out.
func login(sshd *sshdtest.Server, signer ssh.Signer) error {
	client, err := ssh.Dial("tcp", sshd.Addr(), &ssh.ClientConfig{
		User: "deploy", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(sshd.HostKey()), Timeout: time.Minute,
	})
	if err != nil {
		return err
	}
	return client.Close()
}

// settled is the CPU of sshd once those of its children that serve connections have ended,
// which is when their time is counted as its own: when it no longer grows.
func settled(pid int) (time.Duration, error) {
	last := time.Duration(-1)
	for {
		now, err := cpu(pid)
		if err != nil || now == last {
			return now, err
		}
		last = now
		time.Sleep(200 * time.Millisecond)
	}
}
