package join

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Refusal is why a join was not granted: what the caller is told, and what only the log is told.
type Refusal struct {
	Problem *api.Problem
	// RetryAfter is when the same request may succeed; 0 if sending it again is of no use.
	RetryAfter time.Duration
	// Reason is for the log: what the caller, who may be a stranger, is not told.
	Reason string
	// Cause is for the log too: a fault of ours, or of what we depend on.
	Cause error
}

func (r *Refusal) Error() string {
	if r.Cause != nil {
		return fmt.Sprintf("%s: %s", r.Problem.Code, r.Cause)
	}
	return r.Problem.Error()
}

func (r *Refusal) Unwrap() error { return r.Cause }

// refuse makes a Refusal. The detail says what to do and tells no rule's values.
func refuse(code api.Code, format string, args ...any) *Refusal {
	return &Refusal{Problem: api.NewProblem(code, fmt.Sprintf(format, args...))}
}

func (r *Refusal) because(err error) *Refusal {
	r.Cause = err
	return r
}

func (r *Refusal) retryAfter(d time.Duration) *Refusal {
	r.RetryAfter = d
	return r
}

func storeUnavailable(cause error) *Refusal {
	return refuse(api.CodeStoreUnavailable, "the service cannot reach its store; send the same request again").
		because(cause).retryAfter(time.Second)
}

func signerUnavailable(cause error) *Refusal {
	return refuse(api.CodeSignerUnavailable, "the service cannot use its signing key; send the same request again").
		because(cause).retryAfter(time.Second)
}

func keysUnavailable(cause error) *Refusal {
	return refuse(api.CodeIssuerKeysUnavailable,
		"the service has no current keys of the ID token's issuer; send the same request again, and if it lasts ask an administrator to run: gatepassctl keys ls").
		because(cause).retryAfter(5 * time.Second)
}

// asRefusal turns what a step failed with into a Refusal. An error that no step
// gave a code to is a fault of ours.
func asRefusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	if t, ok := errors.AsType[*token.Error](err); ok {
		return refuse(api.Code(t.Code), "%s", t.Detail)
	}
	return refuse(api.CodeInternal, "the service failed; ask an administrator to look for the join id in its log").because(err)
}
