package destination

import "context"

// OpenWithStep is Open with a hook before every change to the file system.
func OpenWithStep(ctx context.Context, path string, names []string, step func(string) error) (*Dir, error) {
	return open(ctx, Config{Path: path, Names: names}, step)
}

// Create is create, for what the random names of a set keep a test from reaching.
var Create = create
