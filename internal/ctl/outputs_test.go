package ctl

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// outputs answers with these outputs, or with an error.
type outputs struct {
	values map[string]string
	err    error
}

func (o outputs) DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	if o.err != nil {
		return nil, o.err
	}
	var s types.Stack
	for k, v := range o.values {
		s.Outputs = append(s.Outputs, types.Output{OutputKey: aws.String(k), OutputValue: aws.String(v)})
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{s}}, nil
}

var whole = map[string]string{
	"JoinUrl": "https://x.execute-api.eu-west-1.amazonaws.com", "PublicUrl": "https://join.example.com", "TrustDomain": "example.com",
	"ResourcesTable": "r", "KeySetsTable": "k", "JoinsTable": "j", "RefreshFunction": "f", "Version": "1.0.0",
	"KeySshUser": "arn:1", "KeySshHost": "arn:2", "KeyX509Identity": "arn:3", "KeyX509Database": "arn:4",
	"KeyX509Application": "arn:5", "KeyX509Kubernetes": "arn:6", "KeyJwt": "arn:7",
}

func without(names ...string) map[string]string {
	some := maps.Clone(whole)
	for _, n := range names {
		delete(some, n)
	}
	return some
}

func TestFindStack(t *testing.T) {
	for _, c := range []struct {
		name  string
		api   outputs
		wants string // in the error; empty if it is found
		keys  int
	}{
		{"everything", outputs{values: whole}, "", 7},
		{"without optional authorities", outputs{values: without("KeySshHost", "KeyX509Database", "KeyJwt")}, "", 4},
		{"without the SSH user authority", outputs{values: without("KeySshUser")}, "KeySshUser", 0},
		{"without a table", outputs{values: without("JoinsTable")}, "JoinsTable", 0},
		{"another stack", outputs{values: map[string]string{"BucketName": "b"}}, "not one of Gatepass", 0},
		{"no such stack", outputs{err: &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack with id x does not exist"}}, "there is no stack gatepass", 0},
		{"no credentials", outputs{err: errors.New("no EC2 IMDS role found")}, "describing the stack gatepass: no EC2 IMDS role found", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := FindStack(t.Context(), c.api, "gatepass")
			if c.wants == "" {
				if err != nil || len(o.Keys) != c.keys || o.Keys[cert.SSHUser] != "arn:1" || o.JoinsTable != "j" {
					t.Errorf("found %+v, %v", o, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("got %v, want an error with %q", err, c.wants)
			}
		})
	}
}
