package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/kms"
	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

// stack is the Backend of a deployed service. Its parts are found by the outputs of its
// CloudFormation stack, and opened with the caller's own AWS credentials.
type stack struct {
	Outputs
	env         *Env
	name        string
	store       *dynamo.Store
	keyRing     *kms.KeyRing
	authorities *kms.Authorities
	function    join.Refresher // the stack's function that fetches issuers' keys
}

// openStack finds the stack that the command line names in the account and region of the
// caller's AWS configuration (environment, shared files, SSO).
func (c *Env) openStack(ctx context.Context) (Backend, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, noCredentials(c.Stack, errors.New("no region is set"))
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, noCredentials(c.Stack, err)
	}
	outputs, err := FindStack(ctx, cloudformation.NewFromConfig(cfg), c.Stack)
	if err != nil {
		return nil, err
	}
	s, err := dynamo.New(dynamo.Config{
		Client: dynamo.NewClient(cfg),
		Tables: dynamo.Tables{Resources: outputs.ResourcesTable, KeySets: outputs.KeySetsTable, Joins: outputs.JoinsTable},
	})
	if err != nil {
		return nil, err
	}
	keys := kms.NewClient(cfg)
	return &stack{
		Outputs: outputs, env: c, name: c.Stack, store: s,
		keyRing: &kms.KeyRing{Client: keys, Stack: c.Stack, Keys: outputs.Keys},
		authorities: kms.New(kms.Config{
			Client: keys, Keys: outputs.Keys, Rotated: s, Now: c.Now, Certificates: newCertificates(s, outputs.JoinURL),
		}),
		function: lambda.NewRefresher(awslambda.NewFromConfig(cfg), outputs.RefreshFunction),
	}, nil
}

func noCredentials(stack string, cause error) error {
	return cli.Failed("the stack %s cannot be read: no AWS credentials or no region: %w", stack, cause).Hint("log in, such as by aws sso login, and set AWS_REGION")
}

// String names the account and the region too: stacks of one name are in several.
func (s *stack) String() string {
	return fmt.Sprintf("stack %s (%s/%s)", s.name, s.Account, s.Region)
}

func (s *stack) Store() store.Store { return s.store }
func (s *stack) MakesAuthorities() string {
	return "deploy the stack with a key for it; see docs/deploy.md"
}
func (s *stack) Close() error { return nil }

func (s *stack) Authorities(context.Context) (authority.Authorities, error) {
	return s.authorities, nil
}

func (s *stack) Rotator(context.Context) *authority.Rotator {
	return &authority.Rotator{
		Store: s.store, Keys: s.keyRing, CacheFor: s.env.CacheFor, Now: s.env.Now, Wait: wait.For,
		Authorities: func() (authority.Authorities, error) { return s.authorities, nil },
		Published:   func(ctx context.Context) (authority.Published, error) { return AskPublished(ctx, s.JoinURL) },
	}
}

// RemoveKey schedules the deletion of a KMS key.
func (s *stack) RemoveKey(key string) string {
	return "aws kms schedule-key-deletion --pending-window-in-days 30 --key-id " + key
}

func (s *stack) CRL(ctx context.Context, revocations []store.Revocation, stored bool) (string, error) {
	if !stored {
		return "", cli.Misused("on a stack the service signs the CRLs, of what is stored").Hint("leave --no-store out")
	}
	return freshCRL(ctx, s.JoinURL, s.authorities, revocations, s.env.Now)
}

// Refresher has the stack's function fetch issuers' keys: what fetches them is then what
// fetches them every 15 minutes.
func (s *stack) Refresher() (Refresher, error) { return s, nil }

// RefreshOne has one issuer's keys fetched, and tells by the store what came of it.
func (s *stack) RefreshOne(ctx context.Context, issuer string) jwks.Result {
	before, err := s.store.KeySet(ctx, issuer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return jwks.Result{Issuer: issuer, Err: err}
	}
	result := jwks.Compare(before, before)
	result.Issuer = issuer
	if before.Pinned {
		return result
	}
	if result.Err = s.function.Refresh(ctx, issuer); result.Err != nil {
		return result
	}
	after, err := s.store.KeySet(ctx, issuer)
	if err != nil {
		return jwks.Result{Issuer: issuer, Err: err}
	}
	result = jwks.Compare(before, after)
	result.Overtaken = after.FetchedAt.Equal(before.FetchedAt) // nothing was stored
	return result
}

// refreshAtATime is how many issuers the function is asked for at a time.
const refreshAtATime = 4

// RefreshAll has the keys fetched of every issuer that a token rule names.
func (s *stack) RefreshAll(ctx context.Context, watch ...func(done, total int)) ([]jwks.Result, error) {
	issuers, err := s.store.Issuers(ctx)
	if err != nil {
		return nil, err
	}
	return s.refreshEach(ctx, issuers, watch...), nil
}

func (s *stack) refreshEach(ctx context.Context, issuers []string, watch ...func(done, total int)) []jwks.Result {
	return jwks.Each(issuers, refreshAtATime, func(issuer string) jwks.Result { return s.RefreshOne(ctx, issuer) }, watch...)
}

func (s *stack) RefreshNew(ctx context.Context, issuers []string, watch ...func(done, total int)) []jwks.Result {
	return s.refreshEach(ctx, issuers, watch...)
}

func (s *stack) Running(ctx context.Context) (*Running, error) {
	running := askRunning(ctx, s.JoinURL, s.Outputs.PublicURL)
	if running == nil {
		return nil, errors.New("no answer from " + s.Outputs.PublicURL)
	}
	return running, nil
}

func (s *stack) PublicURL(context.Context) string { return s.Outputs.PublicURL }

// Damage implements Backend.
func (s *stack) Damage(context.Context, bool) ([]error, bool, error) { return nil, true, nil }
