package destination

import "context"

// OpenWithStep is Open with a hook before every change to the file system.
func OpenWithStep(ctx context.Context, path string, names []string, step func(string) error) (*Dir, error) {
	return open(ctx, path, names, step)
}
