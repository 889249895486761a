package service

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Health is what a service says of itself, and when.
type Health struct {
	api.Health
	Date time.Time // of the answer, to the second; zero if it has none
	Sent time.Time // our clock as the request left,
	Got  time.Time // and as the answer came
}

// Health asks once. It fails as Join does where the service cannot be reached.
func (c *Client) Health(ctx context.Context, now func() time.Time) (*Health, error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.config.Timeout, c.config.Attempt))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.URL.JoinPath(api.PathHealth).String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", c.config.UserAgent)
	health := &Health{Sent: now()}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.broken(err)
	}
	defer response.Body.Close()
	health.Got = now()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, c.broken(err)
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return nil, c.redirected(response)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || media != "application/json" {
		return nil, c.stranger(response, describe(media))
	}
	if err := json.Unmarshal(body, &health.Health); err != nil || health.Status == "" {
		return nil, c.stranger(response, "an answer that is not the service's health")
	}
	// A date that cannot be read is as good as none (RFC 9110 §6.6.1).
	health.Date, _ = http.ParseTime(response.Header.Get("Date"))
	return health, nil
}
