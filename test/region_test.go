package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The SAM CLI knows no AWS_REGION, and would deploy to its own default where
// gatepassctl and the AWS CLI then look for the stack in another region.
func TestDeployGoesToTheRegionThatIsSet(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"AWS_REGION":            {[]string{"AWS_REGION=eu-west-1"}, "eu-west-1"},
		"both, and they differ": {[]string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=us-east-1"}, "eu-west-1"},
		"AWS_DEFAULT_REGION":    {[]string{"AWS_DEFAULT_REGION=eu-west-1"}, "eu-west-1"},
		"neither":               {nil, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			sam := "#!/bin/sh\necho \"$1 ${2-} ${AWS_DEFAULT_REGION-none}\"\n"
			must(t, os.WriteFile(filepath.Join(bin, "sam"), []byte(sam), 0o755))
			cmd := exec.CommandContext(t.Context(), "../tools/deploy.sh", "--guided")
			cmd.Env = append([]string{"PATH=" + bin + ":" + os.Getenv("PATH")}, c.env...)
			out, err := cmd.CombinedOutput()
			must(t, err)
			if !strings.HasSuffix(string(out), "\ndeploy --guided "+c.want+"\n") {
				t.Errorf("sam was called so:\n%s", out)
			}
		})
	}
}
