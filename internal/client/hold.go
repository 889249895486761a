package client

import (
	"context"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Held is what a join granted, in memory alone.
type Held struct {
	// Report has no Outputs: nothing is written.
	Report *Report
	// Results are in the order of Join.Outputs.
	Results []*credentials.Result
}

// Hold joins once and writes nothing: the files of the results are for the
// caller to keep in memory or to put where only a child finds them. An output's
// Destination is only the path that its files say they have.
func (j Join) Hold(ctx context.Context) (*Held, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	wire, err := service.New(j.Service)
	if err != nil {
		return nil, err
	}
	idToken, err := j.Source.Find(ctx)
	if err != nil {
		return nil, err
	}
	request, err := j.request(idToken)
	if err != nil {
		return nil, err
	}
	response, err := wire.Join(ctx, request)
	if err != nil {
		return nil, explain(err, idToken, j.Token, j.Source.Audience)
	}
	held := &Held{Report: newReport(response)}
	for _, out := range j.Outputs {
		result, err := out.Accept(credentials.Granted{Response: response, Now: j.Now(), Path: out.Destination()})
		if err != nil {
			return nil, err
		}
		held.Results = append(held.Results, result)
		held.Report.Warnings = append(held.Report.Warnings, result.Warnings...)
	}
	return held, nil
}

// newReport is what an answer says of itself, fit for a build log.
func newReport(response *api.JoinResponse) *Report {
	return &Report{
		JoinID:       failure.Clean(response.JoinID),
		Bot:          failure.Clean(response.Bot),
		ExpiresAt:    response.ExpiresAt.UTC(),
		TTLSeconds:   response.TTLSeconds,
		TTLLimitedBy: failure.Clean(response.TTLLimitedBy),
	}
}
