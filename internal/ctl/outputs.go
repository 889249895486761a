package ctl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
)

// Outputs are the outputs of the stack, as template.yaml names them.
type Outputs struct {
	Account, Region string // where the stack is
	JoinURL         string // where the API listens
	PublicURL       string // where clients reach it
	TrustDomain     string
	ResourcesTable  string
	KeySetsTable    string
	JoinsTable      string
	RefreshFunction string
	Version         string
	// Keys are the KMS keys of the authorities that the stack has.
	Keys map[cert.Purpose]string
}

// Describer describes stacks; *cloudformation.Client is one.
type Describer interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
}

// FindStack reads the outputs of a stack. A stack that lacks one that every
// deployment has is none of ours, or is not deployed whole.
func FindStack(ctx context.Context, api Describer, name string) (Outputs, error) {
	described, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(name)})
	if apiErr, ok := errors.AsType[smithy.APIError](err); ok && apiErr.ErrorCode() == "ValidationError" {
		return Outputs{}, noStack(name)
	}
	if err != nil {
		return Outputs{}, fmt.Errorf("describing the stack %s: %w", name, err)
	}
	if len(described.Stacks) != 1 {
		return Outputs{}, noStack(name)
	}
	values := map[string]string{}
	for _, o := range described.Stacks[0].Outputs {
		values[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	outputs, err := parseOutputs(name, values)
	if id, badID := arn.Parse(aws.ToString(described.Stacks[0].StackId)); badID == nil {
		outputs.Account, outputs.Region = id.AccountID, id.Region
	}
	return outputs, err
}

func noStack(name string) error {
	return cli.Failed("there is no stack %s", name).Hint("check the name, the region (AWS_REGION) and the account: aws cloudformation list-stacks")
}

// keyOutput is the output that has the KMS key of a purpose: KeySshUser for ssh-user.
func keyOutput(p cert.Purpose) string {
	var b strings.Builder
	b.WriteString("Key")
	for word := range strings.SplitSeq(string(p), "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func parseOutputs(name string, values map[string]string) (Outputs, error) {
	o := Outputs{TrustDomain: values["TrustDomain"], Version: values["Version"], Keys: map[cert.Purpose]string{}}
	var missing []string
	for output, field := range map[string]*string{
		"JoinUrl": &o.JoinURL, "PublicUrl": &o.PublicURL, "ResourcesTable": &o.ResourcesTable,
		"KeySetsTable": &o.KeySetsTable, "JoinsTable": &o.JoinsTable, "RefreshFunction": &o.RefreshFunction,
	} {
		if *field = values[output]; *field == "" {
			missing = append(missing, output)
		}
	}
	for _, p := range cert.Purposes() {
		if key := values[keyOutput(p)]; key != "" {
			o.Keys[p] = key
		}
	}
	if o.Keys[cert.SSHUser] == "" {
		missing = append(missing, keyOutput(cert.SSHUser))
	}
	if len(missing) > 0 {
		return Outputs{}, fmt.Errorf("the stack %s has no outputs %s: it is not one of Gatepass, or its deployment is not complete", name, strings.Join(missing, ", "))
	}
	return o, nil
}
