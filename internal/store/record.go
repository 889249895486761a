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
	// Bound is the digest of the one request that the ID token is good for: that of this
	// one, or the join was refused. It is "malformed" if the ID token is bound to what is not
	// one digest, and "" if it is not bound.
	Bound string `json:"bound,omitempty"`
	// Claims are all claims of the verified ID token. ClaimsCut counts those that were
	// shortened or left out so that the record fits MaxRecordBytes.
	Claims    map[string]any `json:"claims"`
	ClaimsCut int            `json:"claims_cut,omitempty"`

	// Rule is the number of the allow rule that matched, or of the deny rule,
	// counted from 0 as in allow[0]; absent if none did.
	Rule *int `json:"rule,omitempty"`
	// Mismatches says for each allow rule which fields did not match.
	// Those that do not fit MaxRecordBytes are counted.
	Mismatches        []RuleMismatch `json:"mismatches,omitempty"`
	MismatchesLeftOut int            `json:"mismatches_left_out,omitempty"`
	// Lock names the lock that refused the join.
	Lock string `json:"lock,omitempty"`

	TTLSeconds   int64  `json:"ttl_seconds,omitempty"`
	TTLLimitedBy string `json:"ttl_limited_by,omitempty"`
	// RetryOf is the join that this one repeats: the same request, answered before. Its
	// credentials have that answer's serials and end with them. Empty in a first answer.
	RetryOf     string             `json:"retry_of,omitempty"`
	Credentials []RecordCredential `json:"credentials,omitempty"`
	// ValuesCut counts the other values that were shortened or left out: of mismatches,
	// and of credentials' lists.
	ValuesCut int `json:"values_cut,omitempty"`

	// Repeated is set if refusals of the same ID token, rule and code were recorded
	// before this one within a minute, and it and others of that minute are only
	// counted. There were Repeated of them or more, but fewer than twice as many, in one
	// instance of the service. Their claims are in the records before.
	Repeated int `json:"repeated,omitempty"`
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

// maxMismatches is about how many bytes of mismatches are looked at for a record: a token
// may have a thousand rules and a job hundreds of contexts. EncodeRecord bounds what is stored.
const maxMismatches = 32 << 10

// Mismatches returns the mismatches of a decision as recorded, the first ones, and how
// many are left out.
func Mismatches(all []rules.RuleMismatch) (kept []RuleMismatch, leftOut int) {
	size := 0
	for i, m := range all {
		mismatch := RuleMismatch{Rule: m.Rule}
		for _, f := range m.Fields {
			mismatch.Fields = append(mismatch.Fields, FieldMismatch(f))
			size += len(f.Field) + len(f.Want)
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
