package commands

import (
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/client/agent"
)

// What an output does with its directory after the join has no meaning for a
// folder that is gone with the command.
func TestExecRefusesWhatNeedsADirectory(t *testing.T) {
	for _, flag := range []string{"destination=d", "owner=0", "reader-user=0", "reader-group=0", "acls=try", "exec-plugin"} {
		f := execFlags{also: []string{"kubernetes,kubernetes-server=https://k,kubernetes-user=ci," + flag}}
		name, _, _ := strings.Cut(flag, "=")
		if _, err := f.outputs(&agent.Place{}); err == nil || !strings.Contains(err.Error(), name+" has no meaning for exec") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
