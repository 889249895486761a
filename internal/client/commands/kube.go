package commands

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
)

func newKubeCredentials(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "kube-credentials DIR",
		Short: "Print Kubernetes credentials for kubectl, as its exec plugin",
		Long: "kube-credentials prints the credentials that `gatepass join kubernetes --exec-plugin` has written to DIR,\n" +
			"as an ExecCredential of client.authentication.k8s.io/v1. A kubeconfig of that output runs it.\n" +
			"Its stdout is a secret.",
		Example: "  gatepass kube-credentials ./k8s",
		Args:    oneDirectory,
		RunE: func(_ *cobra.Command, args []string) error {
			answer, err := credentials.ExecCredential(args[0], env.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Out, "%s\n", answer)
			return err
		},
	}
}
