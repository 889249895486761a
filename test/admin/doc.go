// Package admin holds tests of what administrators do with gatepassctl, where a
// script of cmd/gatepassctl/testdata does not reach: a thousand token rules, and
// commands that are killed.
package admin
