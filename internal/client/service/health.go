package service

import (
	"context"
	"encoding/json"
	"errors"
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
	health := &Health{Sent: now()}
	header, err := c.ask(request, "", "the service's health", func(body []byte) error {
		err := json.Unmarshal(body, &health.Health)
		if err == nil && health.Status == "" {
			err = errors.New("it has no status")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	health.Got = now()
	// A date that cannot be read is as good as none (RFC 9110 §6.6.1).
	health.Date, _ = http.ParseTime(header.Get("Date"))
	return health, nil
}
