// Package client is what gatepass does in a CI job: it finds the job's ID
// token, makes keys, joins, checks the answer and writes the credentials.
package client

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Join is one join and where its credentials go.
type Join struct {
	Token   string        // the name of the token rule
	TTL     time.Duration // asked for; zero leaves it to the service
	Info    api.ClientInfo
	Source  source.Finder
	Service service.Config
	Outputs []credentials.Output
	// Within is a directory above all destinations, or empty: no link below it is followed.
	Within string

	Random io.Reader
	Now    func() time.Time
}

// Report says what was granted and where it is.
type Report struct {
	JoinID       string          `json:"join_id"`
	Bot          string          `json:"bot"`
	ExpiresAt    time.Time       `json:"expires_at"`
	TTLSeconds   int64           `json:"ttl_seconds"`
	TTLLimitedBy string          `json:"ttl_limited_by"`
	Outputs      []WrittenOutput `json:"outputs"`
	Warnings     []string        `json:"warnings,omitempty"`
}

// WrittenOutput is one output in its destination.
type WrittenOutput struct {
	Type        string    `json:"type"`
	Destination string    `json:"destination"`
	Files       []string  `json:"files"`
	Principals  []string  `json:"principals,omitempty"`
	Subject     string    `json:"subject,omitempty"`
	ExpiresAt   time.Time `json:"expires_at"`
	Next        string    `json:"next,omitempty"`
}

// Run joins once. Everything that can fail on this machine is tried before the
// ID token is spent, and every credential is checked before any is written.
func (j Join) Run(ctx context.Context) (*Report, error) {
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
	dirs, err := j.openDestinations(ctx)
	defer closeAll(dirs)
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
	results, err := j.accept(response, dirs)
	if err != nil {
		return nil, err
	}
	return j.write(ctx, response, dirs, results)
}

func (j Join) check() error {
	if j.Token == "" {
		return failure.New(failure.Usage, "no token rule is named").
			Hint("give --token NAME, or set GATEPASS_TOKEN: the metadata.name of the token resource, which is no secret")
	}
	if j.TTL != 0 && j.TTL < time.Second {
		return failure.New(failure.Usage, "a lifetime of %s is too short", j.TTL).Hint("ask for at least 1s, such as --ttl=15m")
	}
	if j.Service.Timeout <= 0 {
		return failure.New(failure.Usage, "a timeout of %s is too short", j.Service.Timeout).Hint("write it like --timeout=60s")
	}
	seen := make(map[string]bool)
	for _, out := range j.Outputs {
		if out.Destination() == "" {
			continue
		}
		path, err := filepath.Abs(out.Destination())
		if err != nil {
			return fmt.Errorf("destination %s: %w", out.Destination(), err)
		}
		if seen[path] {
			return sameDestination(path)
		}
		seen[path] = true
	}
	return nil
}

func sameDestination(path string) error {
	return failure.New(failure.Usage, "two outputs have the destination %s", path).Hint("give each output a directory of its own")
}

// openDestinations returns a directory for each output, nil for what is kept in memory.
func (j Join) openDestinations(ctx context.Context) ([]*destination.Dir, error) {
	var dirs []*destination.Dir
	var infos []os.FileInfo
	for _, out := range j.Outputs {
		if out.Destination() == "" {
			dirs = append(dirs, nil)
			continue
		}
		dir, err := destination.Open(ctx, destination.Config{
			Path:   out.Destination(),
			Names:  append(out.Names(), destination.ManifestName),
			Size:   out.Size(),
			Access: out.Access(),
			Within: j.Within,
		})
		if err != nil {
			return dirs, err
		}
		dirs = append(dirs, dir)
		// check compares paths, which a link can make differ.
		info, err := os.Stat(dir.Path())
		if err != nil {
			return dirs, fmt.Errorf("destination %s: %w", dir.Path(), err)
		}
		for _, other := range infos {
			if os.SameFile(info, other) {
				return dirs, sameDestination(dir.Path())
			}
		}
		infos = append(infos, info)
	}
	return dirs, nil
}

func closeAll(dirs []*destination.Dir) {
	for _, dir := range dirs {
		if dir != nil {
			dir.Close()
		}
	}
}

// request is built once: a retry sends the same bytes, and the service knows
// it by its digest and retry key.
func (j Join) request(idToken source.Token) (api.JoinRequest, error) {
	retryKey, err := newRetryKey(j.Random)
	if err != nil {
		return api.JoinRequest{}, err
	}
	request := api.JoinRequest{
		Token:      j.Token,
		JoinMethod: idToken.Method,
		IDToken:    idToken.Value(),
		RetryKey:   retryKey,
		Client:     &j.Info,
	}
	if j.TTL != 0 {
		seconds := int64(j.TTL / time.Second)
		request.TTLSeconds = &seconds
	}
	for i, out := range j.Outputs {
		credentials, err := out.Request(prefix(i), j.Random)
		if err != nil {
			return api.JoinRequest{}, err
		}
		request.Credentials = append(request.Credentials, credentials...)
	}
	if len(request.Credentials) > api.MaxCredentials {
		return api.JoinRequest{}, failure.New(failure.Usage, "the outputs need %d credentials, and a join has at most %d", len(request.Credentials), api.MaxCredentials).
			Hint("split the outputs over several joins; the token rule's max_joins says how many one ID token may make")
	}
	return request, nil
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

func (j Join) accept(response *api.JoinResponse, dirs []*destination.Dir) ([]*credentials.Result, error) {
	var results []*credentials.Result
	for i, out := range j.Outputs {
		granted := credentials.Granted{Response: response, Now: j.Now()}
		if dirs[i] != nil {
			granted.Path = dirs[i].Path()
		}
		result, err := out.Accept(granted)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func (j Join) write(ctx context.Context, response *api.JoinResponse, dirs []*destination.Dir, results []*credentials.Result) (*Report, error) {
	report := newReport(response)
	for i, result := range results {
		written := WrittenOutput{
			Type:       j.Outputs[i].Type(),
			Principals: clean(result.Principals),
			Subject:    failure.Clean(result.Subject),
			ExpiresAt:  result.Expires.UTC(),
		}
		if dirs[i] == nil {
			written.Destination = memory
		} else if err := j.writeOne(ctx, report, &written, dirs[i], result); err != nil {
			return nil, err
		}
		report.Outputs = append(report.Outputs, written)
		report.Warnings = append(report.Warnings, result.Warnings...)
	}
	return report, nil
}

// memory stands for a directory in the report of an output that is written nowhere.
const memory = "memory"

// writeOne puts an output's files in the place of its earlier ones.
func (j Join) writeOne(ctx context.Context, report *Report, written *WrittenOutput, dir *destination.Dir, result *credentials.Result) error {
	written.Destination, written.Next = dir.Path(), result.Next
	for _, file := range result.Files {
		written.Files = append(written.Files, file.Name)
	}
	manifest, err := newManifest(report, *written)
	if err != nil {
		return err
	}
	if err := dir.Replace(ctx, append(result.Files, manifest)); err != nil {
		return err
	}
	report.Warnings = append(report.Warnings, dir.Warnings()...)
	return nil
}

// RunCommand runs a command for source.Finder: its stdout is returned, its
// stderr shown as it is, since CI tools explain themselves there.
func RunCommand(stderr io.Writer) func(context.Context, string, ...string) ([]byte, error) {
	return func(ctx context.Context, name string, args ...string) ([]byte, error) {
		return runCommand(ctx, stderr, os.Environ(), name, args)
	}
}
