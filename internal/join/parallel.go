package join

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// all runs fs and returns the first error: at the same time, the others' context
// ending with it, or one after the other where nothing is remote. There a goroutine
// would cost more than what it waits for.
func (s *Service) all(ctx context.Context, fs ...func(context.Context) error) error {
	if s.Local {
		for _, f := range fs {
			if err := f(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, f := range fs {
		g.Go(guarded(func() error { return f(gctx) }))
	}
	return g.Wait()
}

// guarded makes a panic of f an error. A panic in a goroutine of its own would
// end the whole service, which the request's handler could not prevent.
func guarded(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if fault := recover(); fault != nil {
				err = &panicError{fault, debug.Stack()}
			}
		}()
		return f()
	}
}

// panicError is a panic.
type panicError struct {
	value any
	stack []byte
}

func (f *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", f.value, f.stack) }
