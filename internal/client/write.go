package client

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

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
	// Variables are those by which programs find the files.
	Variables []credentials.Variable `json:"-"`
}

// newReport is what an answer says of itself, fit for a build log.
func newReport(response *api.JoinResponse) *Report {
	return &Report{
		JoinID:       words.Clean(response.JoinID),
		Bot:          words.Clean(response.Bot),
		ExpiresAt:    response.ExpiresAt.UTC(),
		TTLSeconds:   response.TTLSeconds,
		TTLLimitedBy: words.Clean(response.TTLLimitedBy),
	}
}

// openDestinations returns a directory for each output, nil for what is kept in memory.
func (j Join) openDestinations(ctx context.Context) ([]*destination.Dir, error) {
	var dirs []*destination.Dir
	var infos []os.FileInfo
	for _, out := range j.Outputs {
		if out.Place.Path == "" {
			dirs = append(dirs, nil)
			continue
		}
		dir, err := destination.Open(ctx, destination.Config{
			Path:   out.Place.Path,
			Names:  append(out.Names(), destination.ManifestName),
			Size:   out.Size(),
			Access: out.Place.Access,
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

// pathsOf are the paths of the directories, empty for what is kept in memory.
func pathsOf(dirs []*destination.Dir) []string {
	paths := make([]string, len(dirs))
	for i, dir := range dirs {
		if dir != nil {
			paths[i] = dir.Path()
		}
	}
	return paths
}

func closeAll(dirs []*destination.Dir) {
	for _, dir := range dirs {
		if dir != nil {
			dir.Close()
		}
	}
}

// memory stands for a directory in the report of an output that is written nowhere.
const memory = "memory"

// write puts every output's files in the place of its earlier ones.
func (j Join) write(ctx context.Context, held *Held, dirs []*destination.Dir) (*Report, error) {
	report := held.Report
	for i, result := range held.Results {
		written := WrittenOutput{
			Type:       j.Outputs[i].Kind,
			Principals: clean(result.Principals),
			Subject:    words.Clean(result.Subject),
			ExpiresAt:  result.Expires.UTC(),
		}
		if dirs[i] == nil {
			written.Destination = memory
		} else if err := writeOne(ctx, report, &written, dirs[i], result); err != nil {
			return nil, err
		}
		report.Outputs = append(report.Outputs, written)
		report.Warnings = append(report.Warnings, result.Warnings...)
	}
	return report, nil
}

// writeOne puts an output's files in the place of its earlier ones.
func writeOne(ctx context.Context, report *Report, written *WrittenOutput, dir *destination.Dir, result *credentials.Result) error {
	written.Destination, written.Next, written.Variables = dir.Path(), result.Next, result.Variables
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

// manifest is the file in each set that says what it is. Nothing in it is secret.
type manifest struct {
	JoinID    string    `json:"join_id"`
	Bot       string    `json:"bot"`
	Type      string    `json:"type"`
	ExpiresAt time.Time `json:"expires_at"`
	Files     []string  `json:"files"`
}

func newManifest(report *Report, written WrittenOutput) (destination.File, error) {
	data, err := json.MarshalIndent(manifest{
		JoinID:    report.JoinID,
		Bot:       report.Bot,
		Type:      written.Type,
		ExpiresAt: written.ExpiresAt,
		Files:     written.Files,
	}, "", "  ")
	if err != nil {
		return destination.File{}, fmt.Errorf("encoding %s: %w", destination.ManifestName, err)
	}
	return destination.File{Name: destination.ManifestName, Data: append(data, '\n')}, nil
}

func clean(values []string) []string {
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = words.Clean(value)
	}
	return out
}
