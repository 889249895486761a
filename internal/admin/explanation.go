package admin

import (
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Explanation says, check by check, what a join would come to.
type Explanation struct {
	Token  string  `json:"token"`
	Bot    string  `json:"bot"`
	Checks []Check `json:"checks"` // in the order in which the service makes them
	// Code is "ok", or the code of the first check that refuses: the code that the
	// service would answer with.
	Code string `json:"code"`
	// Rule is the allow or deny rule that matched.
	Rule *int `json:"rule,omitempty"`
	// Rules has every rule beside what the job presents.
	Rules     []rules.RuleComparison `json:"rules,omitempty"`
	Presented map[string][]string    `json:"presented,omitempty"`
	// Grants are what the bot's roles grant it; SSH what one certificate of all of
	// them would have.
	Grants []RoleGrants `json:"grants,omitempty"`
	SSH    *SSHGrant    `json:"ssh,omitempty"`
	// TTL is the lifetime and what limits it.
	TTLSeconds   int64  `json:"ttl_seconds,omitempty"`
	TTLLimitedBy string `json:"ttl_limited_by,omitempty"`
	// Recorded is what a join that is explained came to when it was made.
	Recorded *Recorded `json:"recorded,omitempty"`
}

// Check is one step of a join.
type Check struct {
	Name   string `json:"name"`
	Code   string `json:"code"` // "ok", "unknown" if it could not be made, or a code of a refusal
	Detail string `json:"detail"`
}

// CodeUnknown is the code of a check that could not be made.
const CodeUnknown = "unknown"

// RoleGrants is what one role grants, templates filled in and denials taken away.
type RoleGrants struct {
	Role   string `json:"role"`
	Grants string `json:"grants"`
}

// SSHGrant is what an SSH certificate of all the bot's roles has.
type SSHGrant struct {
	Principals   []string `json:"principals"`
	Extensions   []string `json:"extensions,omitempty"`
	ForceCommand string   `json:"force_command,omitempty"`
	PinSourceIP  bool     `json:"pin_source_ip,omitempty"`
	// Refused says why there is none.
	Refused string `json:"refused,omitempty"`
}

// Recorded is what the record of a join says, beside what the rules say now.
type Recorded struct {
	JoinID string    `json:"join_id"`
	Time   time.Time `json:"time"`
	Code   string    `json:"code"`
	Detail string    `json:"detail,omitempty"`
	// Differs says that the verdict would be another one now.
	Differs bool `json:"differs"`
	// Note says what cannot be told from the record.
	Note string `json:"note,omitempty"`
}

// compareWith says what became of a recorded join.
func (e *Explanation) compareWith(r store.Record) {
	e.Recorded = &Recorded{JoinID: r.JoinID, Time: r.Time, Code: r.Code, Detail: r.Detail, Differs: r.Code != e.Code}
	if e.Code == store.CodeOK && !decidedByRules(r.Code) {
		e.Recorded.Differs = false
		e.Recorded.Note = "it was refused for another reason than its claims: " + r.Detail
	}
}

// decidedByRules reports whether a verdict follows from the claims and the
// resources alone. What was asked for, how often the token had been used and what
// could be reached is not in a record.
func decidedByRules(code string) bool {
	switch code {
	case "not_permitted", "id_token_already_used", "id_token_wrong_request", "malformed_request", "unsupported_key",
		"store_unavailable", "signer_unavailable", "issuer_keys_unavailable", "rate_limited", "internal":
		return false
	}
	return true
}
