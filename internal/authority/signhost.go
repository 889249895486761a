package authority

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// MaxHostTTL is the longest lifetime of a host certificate.
const MaxHostTTL = 2 * 365 * 24 * time.Hour

// HostCertificate is what SignHost made.
type HostCertificate struct {
	Certificate string    `json:"certificate"` // one line
	KeyID       string    `json:"key_id"`
	Serial      string    `json:"serial"`
	Principals  []string  `json:"principals"`
	ValidAfter  time.Time `json:"valid_after"`
	ValidBefore time.Time `json:"valid_before"`
}

// SignHost signs a host's public key for the names by which clients reach it.
func SignHost(a *Authority, key string, principals []string, ttl time.Duration, now time.Time) (*HostCertificate, error) {
	if ttl < time.Minute || ttl > MaxHostTTL {
		return nil, fmt.Errorf("lifetime %s: choose one from 1m to %s", ttl, MaxHostTTL)
	}
	if len(principals) == 0 {
		return nil, errors.New("a host certificate without names would be valid for every host")
	}
	pub, err := cert.ParseSSHPublicKey(key)
	if err != nil {
		return nil, err
	}
	serial, err := cert.NewSSHSerial(rand.Reader)
	if err != nil {
		return nil, err
	}
	r := cert.SSHRequest{
		Host:        true,
		Key:         pub,
		KeyID:       "gatepass-host:" + principals[0],
		Principals:  principals,
		Serial:      serial,
		ValidAfter:  now.Add(-time.Minute).Truncate(time.Second).UTC(),
		ValidBefore: now.Add(ttl).Truncate(time.Second).UTC(),
	}
	line, err := cert.SignSSH(rand.Reader, a.Signer, r)
	if err != nil {
		return nil, err
	}
	return &HostCertificate{
		Certificate: line, KeyID: r.KeyID, Serial: strconv.FormatUint(serial, 10), Principals: principals,
		ValidAfter: r.ValidAfter, ValidBefore: r.ValidBefore,
	}, nil
}
