package destination

import (
	"context"
	"os"
)

// OpenWithStep is Open with a hook before every change to the file system.
func OpenWithStep(ctx context.Context, path string, names []string, step func(string) error) (*Dir, error) {
	return open(ctx, Config{Path: path, Names: names}, step)
}

// Create is create, for what the random names of a set keep a test from reaching.
var Create = create

// OpenWithSwap is openSafely with a hook after the look at each component of the path.
func OpenWithSwap(path string, create bool, seen func(path string)) (*os.Root, error) {
	w := walker{rest: components(path), create: create, seen: seen}
	return w.open(path)
}
