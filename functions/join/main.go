// Command join is the Lambda function that answers the API: it verifies ID
// tokens, decides by the rules and signs credentials. Its settings are in
// docs/settings.md.
package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/kms"
	functions "github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

func main() {
	handler, err := newHandler(os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "join:", err)
		os.Exit(1)
	}
	lambda.StartWithOptions(handler)
}

func newHandler(getenv func(string) string, metrics io.Writer) (lambda.Handler, error) {
	if err := functions.SetUp(); err != nil {
		return nil, err
	}
	s, err := functions.ReadJoinSettings(getenv)
	if err != nil {
		return nil, err
	}
	config, err := functions.AWSConfig(getenv)
	if err != nil {
		return nil, err
	}
	store, err := dynamo.New(dynamo.Config{
		Client: dynamo.NewClient(config),
		Tables: dynamo.Tables{Resources: s.ResourcesTable, KeySets: s.KeySetsTable, Joins: s.JoinsTable},
	})
	if err != nil {
		return nil, err
	}
	log := s.Log()
	authorities := kms.New(kms.Config{
		Client: kms.NewClient(config), Keys: s.Keys, Certificates: store, Rotated: store,
		LeaveOut: func(p cert.Purpose, key string, cause error) {
			log.Error("a key of an authority is left out of those to trust", "authority", p, "key", key, "cause", cause.Error())
		},
	})
	service, err := join.New(join.Config{
		Store: store, Authorities: authorities,
		Refresher: functions.NewRefresher(awslambda.NewFromConfig(config), s.RefreshFunction),
		PublicURL: s.PublicURL, TrustDomain: s.TrustDomain, MaxTTL: s.MaxTTL, RecordTTL: s.RecordTTL,
		Now: time.Now, Rand: rand.Reader, Wait: wait.For,
		Log: log, Count: functions.NewMetrics(s.Stage, time.Now, metrics).CountJoin,
	})
	if err != nil {
		return nil, err
	}
	return functions.NewHTTP(server.New(server.Config{
		Join: service, PublicURL: s.PublicURL, Version: functions.Version, SourceAddr: server.SourceAddr(nil), Log: log,
		Revoked: authority.NewLists(authority.ListsConfig{Revocations: store, Authorities: authorities, Now: time.Now, Rand: rand.Reader}),
	}), s.PublicURL, log), nil
}
