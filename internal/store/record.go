package store

import (
	"time"

	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Record is what is stored of every join whose ID token's signature was
// verified. It never holds the ID token or a credential. It is stored as JSON.
type Record struct {
	JoinID string    `json:"join_id"` // ULID: sorts by time; its own is within a minute of Time
	Time   time.Time `json:"time"`
	// Code is "ok" or the api.Code of the refusal.
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`

	Token      string          `json:"token"`
	Bot        string          `json:"bot"`
	Method     string          `json:"method"`
	SourceAddr string          `json:"source_addr,omitempty"`
	Client     *api.ClientInfo `json:"client,omitempty"`

	// IDToken is the SHA-256 of the ID token's signing input, which its uses are
	// kept under; Digest is that of the request.
	IDToken string `json:"id_token_sha256"`
	Digest  string `json:"digest,omitempty"`
	// Claims are all claims of the verified ID token.
	Claims map[string]any `json:"claims"`

	// Rule is the number of the allow rule that matched, or of the deny rule,
	// counted from 0 as in allow[0]; absent if none did.
	Rule *int `json:"rule,omitempty"`
	// Mismatches says for each allow rule which fields did not match.
	// It has about maxMismatches bytes at most; the rest are counted.
	Mismatches        []RuleMismatch `json:"mismatches,omitempty"`
	MismatchesLeftOut int            `json:"mismatches_left_out,omitempty"`
	// Lock names the lock that refused the join.
	Lock string `json:"lock,omitempty"`

	TTLSeconds   int64              `json:"ttl_seconds,omitempty"`
	TTLLimitedBy string             `json:"ttl_limited_by,omitempty"`
	Retry        bool               `json:"retry,omitempty"`
	Credentials  []RecordCredential `json:"credentials,omitempty"`
}

// CodeOK is the Code of a record of a join that was granted.
const CodeOK = "ok"

// RuleMismatch is one allow rule that did not match.
type RuleMismatch struct {
	Rule   int             `json:"rule"`
	Fields []FieldMismatch `json:"fields"`
}

// FieldMismatch is one field of a rule that did not match.
type FieldMismatch struct {
	Field string   `json:"field"`
	Want  string   `json:"want"`
	Got   []string `json:"got"` // empty if the claim is absent
}

// maxMismatches bounds the mismatches of a record, in bytes: a token may have a
// thousand rules and a job hundreds of contexts, and a DynamoDB item takes 400 KB.
const maxMismatches = 64 << 10

// Mismatches returns the mismatches of a decision as recorded, as many as fit, and how
// many are left out.
func Mismatches(all []rules.RuleMismatch) (kept []RuleMismatch, leftOut int) {
	const perField = 64 // for the names and the punctuation in JSON
	size := 0
	for i, m := range all {
		mismatch := RuleMismatch{Rule: m.Rule}
		for _, f := range m.Fields {
			mismatch.Fields = append(mismatch.Fields, FieldMismatch(f))
			size += perField + len(f.Want)
			for _, got := range f.Got {
				size += len(got)
			}
		}
		if size > maxMismatches && i > 0 {
			return kept, len(all) - i
		}
		kept = append(kept, mismatch)
	}
	return kept, 0
}

// RecordCredential is one credential as issued.
type RecordCredential struct {
	Name       string    `json:"name"`
	Type       string    `json:"type"`
	Usage      string    `json:"usage,omitempty"`
	Serial     string    `json:"serial"`
	Subject    string    `json:"subject,omitempty"` // the X.509 subject, or the JWT's audience
	Principals []string  `json:"principals,omitempty"`
	Roles      []string  `json:"roles,omitempty"` // the roles that granted it
	ExpiresAt  time.Time `json:"expires_at"`
}
