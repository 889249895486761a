package worldtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// PublicURL is the public URL of every stack, the issuer of its JWTs. Nobody answers there.
const PublicURL = "https://join.gatepass.test"

const trustDomain = "gatepass.test"

// Stack is a deployed service with tables and keys of its own. Its URL answers 503
// until StartService.
type Stack struct {
	Name   string
	URL    string // where API Gateway would answer
	Tables dynamo.Tables
	Store  *dynamo.Store
	Keys   map[cert.Purpose]string // KMS keys, by ARN

	cloud    *Cloud
	gateway  *httptest.Server
	function atomic.Pointer[awstest.Emulator]
}

// NewStack makes a stack. The name must not have been used.
func (c *Cloud) NewStack(ctx context.Context, name string) (*Stack, error) {
	s := &Stack{Name: name, cloud: c, Keys: map[cert.Purpose]string{}}
	s.gateway = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.gateway.URL
	if err := s.make(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("making the stack %s: %w", name, err)
	}
	return s, nil
}

func (s *Stack) make(ctx context.Context) (err error) {
	client := s.cloud.DynamoDB.Client()
	if s.Tables, err = awstest.NewTables(ctx, client); err != nil {
		return err
	}
	if s.Store, err = dynamo.New(dynamo.Config{Client: client, Tables: s.Tables}); err != nil {
		return err
	}
	outputs := map[string]string{
		"JoinUrl": s.URL, "PublicUrl": PublicURL, "TrustDomain": trustDomain, "Version": lambda.Version,
		"ResourcesTable": s.Tables.Resources, "KeySetsTable": s.Tables.KeySets, "JoinsTable": s.Tables.Joins,
		"JoinFunction": s.Name + "-join", "RefreshFunction": s.Name + "-jwks-refresh",
	}
	kms := awskms.NewFromConfig(s.cloud.Config())
	for _, p := range cert.Purposes() {
		if s.Keys[p], err = awstest.NewKey(ctx, kms); err != nil {
			return err
		}
		outputs[keyOutput(p)] = s.Keys[p]
	}
	_, err = cloudformation.NewFromConfig(s.cloud.Config()).CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: &s.Name, TemplateBody: aws.String(template(outputs)),
	})
	return err
}

// keyOutput is the output with the key of a purpose, as template.yaml names it.
func keyOutput(p cert.Purpose) string {
	var name strings.Builder
	name.WriteString("Key")
	for word := range strings.SplitSeq(string(p), "-") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// template is one with these outputs. CloudFormation wants a resource as well.
func template(values map[string]string) string {
	outputs := map[string]any{}
	for name, value := range values {
		outputs[name] = map[string]string{"Value": value}
	}
	text, err := json.Marshal(map[string]any{
		"Resources": map[string]any{"Nothing": map[string]string{"Type": "AWS::CloudFormation::WaitConditionHandle"}},
		"Outputs":   outputs,
	})
	if err != nil {
		panic(err) // strings only
	}
	return string(text)
}

// StartService starts the function join behind the URL; env, such as
// GATEPASS_MAX_TTL=1h, is added to its settings.
func (s *Stack) StartService(env ...string) error {
	function, err := s.StartFunction("join", env...)
	if err != nil {
		return err
	}
	if before := s.function.Swap(function); before != nil {
		before.Stop()
	}
	return s.healthy()
}

// StartFunction starts a function of the stack by itself, with env added to its settings. It is
// cold until its first event. The caller stops it.
func (s *Stack) StartFunction(name string, env ...string) (*awstest.Emulator, error) {
	bootstrap, err := s.cloud.Function(name)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{
		lambda.EnvResourcesTable: s.Tables.Resources, lambda.EnvKeySetsTable: s.Tables.KeySets, lambda.EnvJoinsTable: s.Tables.Joins,
		lambda.EnvPublicURL: PublicURL, lambda.EnvTrustDomain: trustDomain, lambda.EnvRefresher: s.Name + "-jwks-refresh",
	}
	for p, key := range s.Keys {
		if p != cert.SSHHost { // which administrators sign with, and join may not
			settings[lambda.EnvKey(p)] = key
		}
	}
	for _, v := range append(s.cloud.environ(), env...) {
		name, value, _ := strings.Cut(v, "=")
		settings[name] = value
	}
	return awstest.StartEmulator(awstest.EmulatorConfig{Bootstrap: bootstrap, Env: settings})
}

// healthy asks the function for its health: one whose settings are wrong has ended.
func (s *Stack) healthy() error {
	resp, err := http.Get(s.URL + api.PathHealth)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the function is not healthy: %s\n%s", resp.Status, s.function.Load().Log())
	}
	return nil
}

// serve is what API Gateway does.
func (s *Stack) serve(w http.ResponseWriter, r *http.Request) {
	function := s.function.Load()
	if function == nil {
		http.Error(w, "no function", http.StatusServiceUnavailable)
		return
	}
	awstest.Gateway(function).ServeHTTP(w, r)
}

// Close ends what the stack runs.
func (s *Stack) Close() {
	s.gateway.Close()
	if function := s.function.Swap(nil); function != nil {
		function.Stop()
	}
}

// CtlCommand is gatepassctl on the stack, to be run.
func (s *Stack) CtlCommand(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), Binary(tb, "gatepassctl"), append(args, "--stack", s.Name)...)
	cmd.Env = append(clean(), s.cloud.Env()...)
	return cmd
}

// Ctl runs gatepassctl on the stack; it must succeed. It returns standard output.
func (s *Stack) Ctl(tb testing.TB, args ...string) string {
	tb.Helper()
	cmd := s.CtlCommand(tb, args...)
	out, err := cmd.Output()
	if err != nil {
		exit := &exec.ExitError{}
		_ = errors.As(err, &exit)
		tb.Fatalf("gatepassctl %s: %v\n%s%s", strings.Join(args, " "), err, out, exit.Stderr)
	}
	return string(out)
}
