package cli

import (
	"context"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/client/command"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

func newKubeCredentials(env *Env) *command.Command {
	return &command.Command{
		Use:   "kube-credentials DIR",
		Short: "Print Kubernetes credentials for kubectl, as its exec plugin",
		Long: "kube-credentials prints the credentials that `gatepass join kubernetes --exec-plugin` has written to DIR,\n" +
			"as an ExecCredential of client.authentication.k8s.io/v1. A kubeconfig of that output runs it.\n" +
			"Its stdout is a secret.",
		Example: "  gatepass kube-credentials ./k8s",
		Args: func(_ *command.Command, args []string) error {
			if len(args) != 1 {
				return failure.New(failure.Usage, "kube-credentials takes one directory").Hint("use `gatepass kube-credentials ./k8s`")
			}
			return nil
		},
		Run: func(_ context.Context, args []string) error {
			answer, err := credentials.ExecCredential(args[0], env.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "%s\n", answer)
			return err
		},
	}
}
