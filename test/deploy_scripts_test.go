package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

// testCtl runs gatepassctl on the stack, one story a file. They share the stack and
// run at the same time: each has names of its own.
func (d *deployment) testCtl(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{Offline: true, Workspace: "stories"})
	must(t, err)
	_, err = cloudformation.NewFromConfig(d.admin()).CreateStack(t.Context(), &cloudformation.CreateStackInput{
		StackName: awssdk.String("another"), TemplateBody: awssdk.String(`{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}`),
	})
	must(t, err)
	path := filepath.Dir(binary(t, "gatepassctl")) + ":" + os.Getenv("PATH")
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "stack"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for _, v := range d.ctlEnv {
				if strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "GATEPASS_") {
					env.Vars = append(env.Vars, v)
				}
			}
			env.Setenv("PATH", path)
			return writeTokens(env.WorkDir, issuer)
		},
	})
}

// writeTokens writes what only a program can make: keys and ID tokens of an issuer.
func writeTokens(dir string, issuer *issuertest.Issuer) error {
	keys, err := issuer.JWKS()
	if err != nil {
		return err
	}
	good, err := issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		return err
	}
	wrong, err := issuer.Bitbucket(issuertest.BitbucketJob{BranchName: "feature/x"})
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"jwks.json": string(keys), "token.jwt": good, "wrong-branch.jwt": wrong} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
