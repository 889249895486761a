package test

import (
	"context"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func TestMain(m *testing.M) {
	worldtest.Main(m)
}

func binary(t *testing.T, name string) string {
	t.Helper()
	return worldtest.Binary(t, name)
}

func must(t *testing.T, err error) {
	t.Helper()
	worldtest.Must(t, err)
}

func need(t *testing.T, name string) string {
	t.Helper()
	return worldtest.Need(t, name)
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	return worldtest.Output(t, name, args...)
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	return worldtest.Write(t, dir, name, content)
}

// within is the time that a command of a test may take.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
