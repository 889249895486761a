package api

import "fmt"

// Code names why a request was refused. Codes are stable; details are not.
type Code string

// The codes. Each has one status, found by Code.Status.
const (
	CodeMalformedRequest Code = "malformed_request"
	CodeUnsupportedKey   Code = "unsupported_key"

	CodeIDTokenMalformed            Code = "id_token_malformed"
	CodeIDTokenExpired              Code = "id_token_expired"
	CodeIDTokenNotYetValid          Code = "id_token_not_yet_valid"
	CodeIDTokenTooOld               Code = "id_token_too_old"
	CodeIDTokenWrongIssuer          Code = "id_token_wrong_issuer"
	CodeIDTokenWrongAudience        Code = "id_token_wrong_audience"
	CodeIDTokenBadSignature         Code = "id_token_bad_signature"
	CodeIDTokenUnsupportedAlgorithm Code = "id_token_unsupported_algorithm"
	CodeIDTokenUnknownKey           Code = "id_token_unknown_key"
	CodeIDTokenMissingClaim         Code = "id_token_missing_claim"
	CodeIDTokenNotBound             Code = "id_token_not_bound"
	CodeIDTokenWrongRequest         Code = "id_token_wrong_request"

	CodeTokenNotFound   Code = "token_not_found"
	CodeNoRuleMatched   Code = "no_rule_matched"
	CodeDeniedByRule    Code = "denied_by_rule"
	CodeSSHRerunRefused Code = "ssh_rerun_refused"
	CodeLocked          Code = "locked"
	CodeNotPermitted    Code = "not_permitted"

	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"

	CodeIDTokenAlreadyUsed Code = "id_token_already_used"
	CodeRateLimited        Code = "rate_limited"

	CodeIssuerKeysUnavailable Code = "issuer_keys_unavailable"
	CodeStoreUnavailable      Code = "store_unavailable"
	CodeSignerUnavailable     Code = "signer_unavailable"

	CodeInternal Code = "internal"
)

// codes gives each code its HTTP status and a title that never changes with the occurrence (RFC 9457 §3.1.3).
var codes = map[Code]struct {
	status int
	title  string
}{
	CodeMalformedRequest: {400, "the request is not well-formed"},
	CodeUnsupportedKey:   {400, "the public key is of a kind that is not signed"},

	CodeIDTokenMalformed:            {401, "the ID token is not well-formed"},
	CodeIDTokenExpired:              {401, "the ID token has expired"},
	CodeIDTokenNotYetValid:          {401, "the ID token is not valid yet"},
	CodeIDTokenTooOld:               {401, "the ID token is older than its rule allows"},
	CodeIDTokenWrongIssuer:          {401, "the ID token is from another issuer or organization"},
	CodeIDTokenWrongAudience:        {401, "the ID token is for another audience"},
	CodeIDTokenBadSignature:         {401, "the ID token's signature does not verify"},
	CodeIDTokenUnsupportedAlgorithm: {401, "the ID token is signed with an algorithm that is not accepted"},
	CodeIDTokenUnknownKey:           {401, "the ID token is signed by a key that its issuer does not publish"},
	CodeIDTokenMissingClaim:         {401, "the ID token lacks a claim"},
	CodeIDTokenNotBound:             {401, "the ID token is not bound to its request"},
	CodeIDTokenWrongRequest:         {401, "the ID token is bound to another request"},

	CodeTokenNotFound:   {403, "no such token rule takes this ID token"},
	CodeNoRuleMatched:   {403, "no allow rule matches this job"},
	CodeDeniedByRule:    {403, "a deny rule matches this job"},
	CodeSSHRerunRefused: {403, "the job was re-run with SSH"},
	CodeLocked:          {403, "joining is locked"},
	CodeNotPermitted:    {403, "the bot may not have this credential"},

	CodeNotFound:             {404, "there is nothing at this path"},
	CodeMethodNotAllowed:     {405, "this path takes another method"},
	CodeBodyTooLarge:         {413, "the body is too large"},
	CodeUnsupportedMediaType: {415, "the body must be application/json"},

	CodeIDTokenAlreadyUsed: {409, "the ID token has been used already"},
	CodeRateLimited:        {429, "too many requests"},

	CodeIssuerKeysUnavailable: {503, "the issuer's keys cannot be had now"},
	CodeStoreUnavailable:      {503, "the store cannot be reached now"},
	CodeSignerUnavailable:     {503, "the signing key cannot be used now"},

	CodeInternal: {500, "the service failed"},
}

// Codes returns every code with its status.
func Codes() map[Code]int {
	all := make(map[Code]int, len(codes))
	for code, c := range codes {
		all[code] = c.status
	}
	return all
}

// Status is the HTTP status of the code, 500 for one that is not in the table.
func (c Code) Status() int {
	if known, ok := codes[c]; ok {
		return known.status
	}
	return codes[CodeInternal].status
}

// Title is the short text of the code, the same at every occurrence.
func (c Code) Title() string { return codes[c].title }

// ProblemContentType is the media type of a Problem (RFC 9457 §3).
const ProblemContentType = "application/problem+json"

// ProblemType is the URI that a Problem's type is made of, followed by its code.
const ProblemType = "https://github.com/gatepass-ci/gatepass/blob/main/docs/errors.md#"

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   Code   `json:"code"`
	// Detail says what happened and what to do next. It is fit for a build log.
	Detail string `json:"detail"`
	// JoinID names the record of the join, for whoever administers the service.
	JoinID string `json:"join_id,omitempty"`
	// Presented holds the caller's own claims that rules can test, by field of a
	// rule, once the ID token's signature was verified.
	Presented map[string][]string `json:"presented,omitempty"`
	// UnmatchedFields are the fields of rules whose values no allow rule accepted.
	UnmatchedFields []string `json:"unmatched_fields,omitempty"`
}

// NewProblem returns the problem of a code.
func NewProblem(code Code, detail string) *Problem {
	return &Problem{
		Type:   ProblemType + string(code),
		Title:  code.Title(),
		Status: code.Status(),
		Code:   code,
		Detail: detail,
	}
}

// Error makes a Problem an error, for clients.
func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.Code, p.Detail) }
