// Package admin is what administrators do with resources: apply them, compare them,
// remove them, lock and unlock, and explain what they decide. It works on the groups
// of internal/store that it needs, and the commands of gatepassctl are a thin layer
// above it.
package admin
