package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// errNotThere says that a service has nothing at a path.
var errNotThere = errors.New("404 Not Found")

// maxKeys bounds what is read of a service's authorities, in bytes.
const maxKeys = 1 << 20

// AskPublished asks the service at a URL, deployed or embedded, which keys it tells
// others to trust.
func AskPublished(ctx context.Context, url string) (authority.Published, error) {
	all, err := get(ctx, url+api.PathAuthorities, maxKeys)
	if err != nil {
		return nil, err
	}
	// A service that signs no JWTs has no key set, and says so by 404.
	set, err := get(ctx, url+api.PathJWKS, maxKeys)
	if err != nil && !errors.Is(err, errNotThere) {
		return nil, err
	}
	published, err := authority.ParsePublished(all, set)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", url, err)
	}
	return published, nil
}

// get reads what a service has at a URL, up to most bytes.
func get(ctx context.Context, url string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(resp.Body, most))
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s answered %w", url, errNotThere)
	}
	return nil, fmt.Errorf("%s answered %s", url, resp.Status)
}
