package admin

import (
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// decode is the inverse of what state holds.
func decode(t *testing.T, encoded []string) []rules.Resource {
	t.Helper()
	all := make([]rules.Resource, len(encoded))
	for i, text := range encoded {
		var err error
		all[i], err = rules.Decode([]byte(text))
		worldtest.Must(t, err)
	}
	return all
}
