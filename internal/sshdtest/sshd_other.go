//go:build !linux

package sshdtest

import (
	"context"
	"fmt"
	"runtime"
)

// Start needs Linux's namespaces; elsewhere its error is ErrUnavailable.
func Start(context.Context, Config) (*Server, error) {
	return nil, fmt.Errorf("%w: it needs Linux's namespaces, and this is %s", ErrUnavailable, runtime.GOOS)
}
