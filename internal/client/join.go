// Package client is what gatepass does in a CI job: it makes keys, finds the job's ID
// token or has one minted for that one request, joins, checks the answer and writes the credentials. It also
// joins again for long jobs, and finds out why a join fails.
package client

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Join is one join and where its credentials go.
type Join struct {
	Token   string        // the name of the token rule
	TTL     time.Duration // asked for; zero leaves it to the service
	Info    api.ClientInfo
	Source  source.Finder
	Service service.Config
	Outputs []*credentials.Output
	// Within is a directory above all destinations, or empty: no link below it is followed.
	Within string
	// Needs are what the credentials are for afterwards, such as a command to run or files to
	// copy. Each says what of it this machine cannot do, before an ID token is minted or sent.
	Needs []func() error

	Random io.Reader
	Now    func() time.Time
}

// Held is what a join granted, in memory alone.
type Held struct {
	// Report has no Outputs: nothing is written.
	Report *Report
	// Results are in the order of Join.Outputs.
	Results []*credentials.Result
}

// Run joins once. Everything that can fail on this machine is tried before the
// ID token is spent, and every credential is checked before any is written.
func (j Join) Run(ctx context.Context) (*Report, error) {
	r, err := j.ready()
	if err != nil {
		return nil, err
	}
	dirs, err := j.openDestinations(ctx)
	defer closeAll(dirs)
	if err != nil {
		return nil, err
	}
	held, err := r.join(ctx, pathsOf(dirs))
	if err != nil {
		return nil, err
	}
	return j.write(ctx, held, dirs)
}

// Hold joins once and writes nothing: the files of the results are for the
// caller to keep in memory or to put where only a child finds them. The path of an
// output's place is only the one that its files say they have.
func (j Join) Hold(ctx context.Context) (*Held, error) {
	r, err := j.ready()
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(j.Outputs))
	for i, out := range j.Outputs {
		paths[i] = out.Place.Path
	}
	held, err := r.join(ctx, paths)
	if err != nil {
		return nil, err
	}
	for _, result := range held.Results {
		held.Report.Warnings = append(held.Report.Warnings, result.Warnings...)
	}
	return held, nil
}

// ready is a join that lacks nothing but its ID token.
type ready struct {
	Join
	wire    *service.Client
	from    *source.Source
	request api.JoinRequest
	digest  api.RequestDigest // of the request, for an ID token that is bound to it
}

// ready is where all that can fail on this machine fails, but for the destinations.
func (j Join) ready() (*ready, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	wire, err := service.New(j.Service)
	if err != nil {
		return nil, err
	}
	from, err := j.Source.Find()
	if err != nil {
		return nil, err
	}
	for _, need := range j.Needs {
		if err := need(); err != nil {
			return nil, err
		}
	}
	// The keys are there before the ID token, so that it can be bound to them.
	request, digest, err := j.newRequest()
	if err != nil {
		return nil, err
	}
	return &ready{Join: j, wire: wire, from: from, request: request, digest: digest}, nil
}

// join has the ID token minted, if it is not there already, and spends it. The paths are
// those that the files of each output will have.
func (r *ready) join(ctx context.Context, paths []string) (*Held, error) {
	idToken, err := r.from.Token(ctx, provider.BoundAudience(r.Source.Audience, r.digest))
	if err != nil {
		return nil, err
	}
	r.request.IDToken, r.request.JoinMethod = idToken.Value(), idToken.Method
	response, err := r.wire.Join(ctx, r.request)
	if err != nil {
		return nil, explain(err, idToken, r.Token, r.Source.Audience)
	}
	if err := r.checkAnswer(response); err != nil {
		return nil, err
	}
	held := &Held{Report: newReport(response)}
	for i, out := range r.Outputs {
		result, err := out.Accept(credentials.Answer{Response: response, Now: r.Now(), Path: paths[i], IDToken: idToken.Value()})
		if err != nil {
			return nil, err
		}
		held.Results = append(held.Results, result)
	}
	return held, nil
}

// checkAnswer refuses an answer that is about more than was asked for. What it is about is
// checked output by output.
func (r *ready) checkAnswer(response *api.JoinResponse) error {
	if given, asked := len(response.Credentials), len(r.request.Credentials); given > asked {
		return credentials.BadAnswer("it has %d credentials, and %d were asked for", given, asked)
	}
	if asked := r.request.TTLSeconds; asked != nil && response.TTLSeconds > *asked {
		return credentials.BadAnswer("it grants %d seconds, and %d were asked for", response.TTLSeconds, *asked)
	}
	return nil
}

func (j Join) check() error {
	if j.Token == "" {
		return cli.Misused("no token rule is named").
			Hint("give --token NAME, or set GATEPASS_TOKEN: the metadata.name of the token resource, which is no secret")
	}
	if j.TTL != 0 && j.TTL < time.Second {
		return cli.Misused("a lifetime of %s is too short", j.TTL).Hint("ask for at least 1s, such as --ttl=15m")
	}
	if j.Service.Timeout <= 0 {
		return cli.Misused("a timeout of %s is too short", j.Service.Timeout).Hint("write it like --timeout=60s")
	}
	seen := make(map[string]bool)
	for _, out := range j.Outputs {
		if out.Place.Path == "" {
			continue
		}
		path, err := filepath.Abs(out.Place.Path)
		if err != nil {
			return fmt.Errorf("destination %s: %w", out.Place.Path, err)
		}
		if seen[path] {
			return sameDestination(path)
		}
		seen[path] = true
	}
	return nil
}

func sameDestination(path string) error {
	return cli.Misused("two outputs have the destination %s", path).Hint("give each output a directory of its own")
}

// newRequest is all but the ID token, with new keys, and its digest. It is built once: a
// retry sends the same bytes, and the service knows it by its digest, which has the
// retry key in it.
func (j Join) newRequest() (request api.JoinRequest, digest api.RequestDigest, err error) {
	request = api.JoinRequest{Token: j.Token, Client: &j.Info}
	if request.RetryKey, err = newRetryKey(j.Random); err != nil {
		return request, digest, err
	}
	if j.TTL != 0 {
		seconds := int64(j.TTL / time.Second)
		request.TTLSeconds = &seconds
	}
	var keys []string
	for i, out := range j.Outputs {
		credentials, of, err := out.Request(prefix(i), j.Random)
		if err != nil {
			return request, digest, err
		}
		request.Credentials, keys = append(request.Credentials, credentials...), append(keys, of...)
	}
	if len(request.Credentials) > api.MaxCredentials {
		return request, digest, cli.Misused("the outputs need %d credentials, and a join has at most %d", len(request.Credentials), api.MaxCredentials).
			Hint("split the outputs over several joins; the token rule's max_joins says how many one ID token may make")
	}
	return request, request.Digest(keys), nil
}

// prefix keeps the credentials of several outputs apart.
func prefix(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("output%d-", i+1)
}

// newRetryKey is 32 characters of 5 bits each.
func newRetryKey(random io.Reader) (string, error) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	raw := make([]byte, 32)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("making a retry key: %w", err)
	}
	for i, b := range raw {
		raw[i] = alphabet[b%32]
	}
	return string(raw), nil
}
