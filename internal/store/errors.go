package store

import "errors"

// ErrNotFound says that there is no such thing in the store.
var ErrNotFound = errors.New("not found")
