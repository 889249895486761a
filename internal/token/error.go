package token

import (
	"fmt"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Code names why an ID token is refused. The strings are those of the wire
// format (docs/protocol.md).
type Code string

// The codes.
const (
	Malformed            Code = "id_token_malformed"
	Expired              Code = "id_token_expired"
	NotYetValid          Code = "id_token_not_yet_valid"
	TooOld               Code = "id_token_too_old"
	WrongIssuer          Code = "id_token_wrong_issuer"
	WrongAudience        Code = "id_token_wrong_audience"
	BadSignature         Code = "id_token_bad_signature"
	UnsupportedAlgorithm Code = "id_token_unsupported_algorithm"
	UnknownKey           Code = "id_token_unknown_key"
	MissingClaim         Code = "id_token_missing_claim"
	NotBound             Code = "id_token_not_bound"
	WrongRequest         Code = "id_token_wrong_request"
	SSHRerunRefused      Code = "ssh_rerun_refused"
)

// Error is the refusal of an ID token.
type Error struct {
	Code Code
	// Detail says what is wrong and what to do. It is fit for a build log: it
	// never tells the values of a token rule, and tells those of the token only
	// once its signature has been verified.
	Detail string
	// Err is the cause, if there is more to it than Detail.
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Detail)
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// refused is the error of a provider's refusal; nil if there is none.
func refused(r *provider.Refusal) error {
	if r == nil {
		return nil
	}
	return &Error{Code: Code(r.Code), Detail: r.Detail}
}

func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}
