// Command jwks-refresh is the Lambda function that fetches issuers' key sets: all
// of them on a schedule, one when join asks for it. Its settings are in
// docs/settings.md.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	functions "github.com/gatepass-ci/gatepass/internal/lambda"
)

func main() {
	handler, err := newHandler(os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "jwks-refresh:", err)
		os.Exit(1)
	}
	lambda.StartWithOptions(handler.Handle)
}

func newHandler(getenv func(string) string, metrics io.Writer) (*functions.Refresh, error) {
	if err := functions.SetUp(); err != nil {
		return nil, err
	}
	s, err := functions.ReadRefreshSettings(getenv)
	if err != nil {
		return nil, err
	}
	config, err := functions.AWSConfig(getenv)
	if err != nil {
		return nil, err
	}
	store, err := dynamo.New(dynamo.Config{
		Client: dynamo.NewClient(config),
		Tables: dynamo.Tables{Resources: s.ResourcesTable, KeySets: s.KeySetsTable},
	})
	if err != nil {
		return nil, err
	}
	client, err := jwks.NewHTTPClient(s.Issuers)
	if err != nil {
		return nil, err
	}
	log := s.Log()
	return &functions.Refresh{
		Store:     store,
		Refresher: jwks.New(jwks.Config{Store: store, HTTP: client, Now: time.Now, Log: log, Concurrency: s.Concurrency}),
		Metrics:   functions.NewMetrics(s.Stage, time.Now, metrics), Now: time.Now, Log: log,
	}, nil
}
