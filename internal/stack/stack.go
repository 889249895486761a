package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/kms"
	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// Stack is a deployed service, as an administrator works on it.
type Stack struct {
	Name string
	Outputs
	Store       *dynamo.Store
	Authorities *kms.Authorities
	KeyRing     *kms.KeyRing
	Refresher   *Refresher
}

// askTimeout is how long the service may take to make certificates: a cold start,
// and several signatures.
const askTimeout = 20 * time.Second

// ErrNoCredentials says that no AWS credentials or no region were found.
var ErrNoCredentials = errors.New("no AWS credentials or no region")

// Open finds the stack of this name in the account and region of the caller's
// AWS configuration (environment, shared files, SSO).
func Open(ctx context.Context, name string, now func() time.Time) (*Stack, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("%w: no region is set", ErrNoCredentials)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCredentials, err)
	}
	outputs, err := Find(ctx, cloudformation.NewFromConfig(cfg), name)
	if err != nil {
		return nil, err
	}
	return open(cfg, name, outputs, now)
}

func open(cfg aws.Config, name string, o Outputs, now func() time.Time) (*Stack, error) {
	s, err := dynamo.New(dynamo.Config{
		Client: dynamo.NewClient(cfg),
		Tables: dynamo.Tables{Resources: o.ResourcesTable, KeySets: o.KeySetsTable, Joins: o.JoinsTable},
	})
	if err != nil {
		return nil, err
	}
	keys := kms.NewClient(cfg)
	return &Stack{
		Name: name, Outputs: o, Store: s,
		KeyRing: &kms.KeyRing{Client: keys, Stack: name, Keys: o.Keys},
		Authorities: kms.New(kms.Config{
			Client: keys, Keys: o.Keys, Rotated: s, Now: now,
			Certificates: newCertificates(s, &http.Client{Timeout: askTimeout}, o.JoinURL),
		}),
		Refresher: &Refresher{store: s, one: lambda.NewRefresher(awslambda.NewFromConfig(cfg), o.RefreshFunction)},
	}, nil
}

// Refresher has the stack's function fetch issuers' keys: what fetches them is
// then what fetches them every 15 minutes.
type Refresher struct {
	store store.KeySets
	one   join.Refresher
}

// concurrency is how many issuers the function is asked for at a time.
const concurrency = 4

// Refresh has one issuer's keys fetched. A pinned set is store.ErrPinned.
func (r *Refresher) Refresh(ctx context.Context, issuer string) error {
	before, err := r.store.KeySet(ctx, issuer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if before.Pinned {
		return fmt.Errorf("%s: %w", issuer, store.ErrPinned)
	}
	return r.one.Refresh(ctx, issuer)
}

// RefreshAll has the keys fetched of every issuer that a token rule names.
func (r *Refresher) RefreshAll(ctx context.Context) ([]jwks.Result, error) {
	issuers, err := r.store.Issuers(ctx)
	if err != nil {
		return nil, err
	}
	results := make([]jwks.Result, len(issuers))
	var g errgroup.Group
	g.SetLimit(concurrency)
	for i, issuer := range issuers {
		g.Go(func() error {
			results[i] = r.result(ctx, issuer)
			return nil
		})
	}
	return results, g.Wait()
}

func (r *Refresher) result(ctx context.Context, issuer string) jwks.Result {
	err := r.Refresh(ctx, issuer)
	if errors.Is(err, store.ErrPinned) {
		return jwks.Result{Issuer: issuer, Pinned: true}
	}
	result := jwks.Result{Issuer: issuer, Err: err}
	if after, readErr := r.store.KeySet(ctx, issuer); readErr == nil {
		result.Keys = jwks.Count(after.JWKS)
	}
	return result
}
