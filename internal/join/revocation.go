package join

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// Revocation says that the certificates of one join shall no longer be accepted.
// It is stored as JSON.
type Revocation struct {
	// ID is the join id, or AUTHORITY.SERIAL for a certificate that was revoked by
	// its serial alone.
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
	if r.ID == "" || len(r.Certificates) == 0 {
		return nil, errors.New("a revocation has an id, and certificates")
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

// DecodeRevocation reads what EncodeRevocation wrote.
func DecodeRevocation(body []byte) (Revocation, error) {
	var r Revocation
	if err := json.Unmarshal(body, &r); err != nil {
		return Revocation{}, err
	}
	if r.ID == "" || len(r.Certificates) == 0 {
		return Revocation{}, errors.New("it has no id or no certificates")
	}
	return r, nil
}

// Authority is the authority that signed a credential of a record.
func (c RecordCredential) Authority() cert.Purpose {
	return authorityOf(c.Type, c.Usage)
}
