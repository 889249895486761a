// Package wait sleeps for as long as somebody still wants what comes after.
package wait

import (
	"context"
	"time"
)

// For sleeps for d, or until ctx is done, whose error it then returns.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
