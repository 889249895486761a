package awstest

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

//go:embed moto_server.py moto_stack.py
var motoScripts embed.FS

// Moto is a running moto, with KMS, and what CloudFormation and IAM make of roles,
// mended: moto_server.py and moto_stack.py say how.
type Moto struct {
	url     string
	dir     string
	process *process
}

// StartMoto starts moto. env, such as INITIAL_NO_AUTH_ACTION_COUNT=10, is added to
// the environment. Its error wraps ErrUnavailable if it is not installed.
func StartMoto(env ...string) (*Moto, error) {
	python, err := tool("venv-moto/bin/python")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gatepass-moto-")
	if err != nil {
		return nil, err
	}
	m := &Moto{dir: dir}
	if err := m.start(python, env); err != nil {
		m.Stop()
		return nil, fmt.Errorf("starting moto: %w", err)
	}
	return m, nil
}

func (m *Moto) start(python string, env []string) error {
	if err := os.CopyFS(m.dir, motoScripts); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	cmd := exec.Command(python, "moto_server.py", "-H", "127.0.0.1", "-p", port(address))
	cmd.Dir, cmd.Env = m.dir, append(os.Environ(), env...)
	if m.process, err = startProcess(cmd); err != nil {
		m.process = nil
		return err
	}
	// localhost: moto tells names of buckets from names of hosts by it.
	m.url = "http://localhost:" + port(address)
	return m.process.waitHTTP(m.url + "/moto-api/data.json")
}

// URL is moto's endpoint, for AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_KMS.
func (m *Moto) URL() string { return m.url }

// Stop ends moto and returns when it is gone.
func (m *Moto) Stop() {
	if m.process != nil {
		m.process.stop()
	}
	_ = os.RemoveAll(m.dir)
}

// NewKey makes a KMS key as an authority has it, and returns its ARN.
func NewKey(ctx context.Context, client *awskms.Client) (string, error) {
	out, err := client.CreateKey(ctx, &awskms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify,
	})
	if err != nil {
		return "", fmt.Errorf("making a KMS key: %w", err)
	}
	return aws.ToString(out.KeyMetadata.Arn), nil
}
