package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// Revocation says that the certificates of one join shall no longer be accepted.
// It is stored as JSON.
type Revocation struct {
	// ID is the join id; JOIN-ID.ssh or JOIN-ID.x509 for the part of a join's certificates
	// that the list had room for; or AUTHORITY.SERIAL for a certificate that was revoked
	// by its serial alone.
	ID     string    `json:"id"`
	JoinID string    `json:"join_id,omitempty"`
	Bot    string    `json:"bot,omitempty"`
	Token  string    `json:"token,omitempty"`
	At     time.Time `json:"at"`
	By     string    `json:"by"` // who revoked it, as they are known where they ran the command
	Reason string    `json:"reason,omitempty"`

	Certificates []RevokedCertificate `json:"certificates"`
}

// RevokedCertificate is one certificate, known by its authority and its serial.
type RevokedCertificate struct {
	Authority cert.Purpose `json:"authority"`
	// Serial is written as in records: decimal for SSH, hexadecimal for X.509.
	Serial    string    `json:"serial"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Ends is when the last of the certificates ends.
func (r Revocation) Ends() time.Time {
	var last time.Time
	for _, c := range r.Certificates {
		if c.ExpiresAt.After(last) {
			last = c.ExpiresAt
		}
	}
	return last
}

// EncodeRevocation writes a revocation as stores keep it: JSON, with its times in UTC.
func EncodeRevocation(r Revocation) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	r.At = r.At.UTC()
	certificates := make([]RevokedCertificate, len(r.Certificates))
	for i, c := range r.Certificates {
		c.ExpiresAt = c.ExpiresAt.UTC()
		certificates[i] = c
	}
	r.Certificates = certificates
	return json.Marshal(r)
}

// DecodeRevocation reads what EncodeRevocation wrote and was stored under an ID.
func DecodeRevocation(id string, body []byte) (Revocation, error) {
	var r Revocation
	err := json.Unmarshal(body, &r)
	if err == nil {
		err = r.check()
	}
	if err == nil && r.ID != id {
		err = fmt.Errorf("it holds the revocation %q", r.ID)
	}
	if err != nil {
		return Revocation{}, fmt.Errorf("the revocation %s is stored but not valid: %w", id, err)
	}
	return r, nil
}

// check refuses what no list could be made of, so that none is made without it.
func (r Revocation) check() error {
	if r.ID == "" || len(r.Certificates) == 0 {
		return errors.New("it has no id or no certificates")
	}
	for _, c := range r.Certificates {
		if !c.Authority.Revocable() {
			return fmt.Errorf("it has a certificate of the authority %q, which has no list", c.Authority)
		}
		if c.Serial == "" || c.ExpiresAt.IsZero() {
			return fmt.Errorf("it has a certificate of the authority %s without a serial or an end", c.Authority)
		}
	}
	return nil
}
