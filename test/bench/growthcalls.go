package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// counted counts calls, and the bytes of their answers.
type counted struct {
	http         http.RoundTripper
	calls, bytes atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.http.RoundTrip(r)
	if err == nil {
		c.calls.Add(1)
		resp.Body = countedBody{resp.Body, &c.bytes}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// ofDynamoDB are the sizes on DynamoDB Local, which keeps them in memory.
var ofDynamoDB = []struct {
	what  string
	sizes []int
	fill  func(b *bench, g *grown, n int) error
}{
	{"token rules", []int{10, 100, 10_000}, (*bench).fillRules},
	{"issuers", []int{1, 10, 1000}, (*bench).fillIssuers},
	{"locks", []int{1, 10, 1000}, (*bench).fillLocks},
	{"records", []int{1, 10, 10_000}, (*bench).putRecords},
}

// growthOfCalls counts what a join asks of DynamoDB: calls, and the bytes of their answers.
func (b *bench) growthOfCalls() error {
	local, err := awstest.StartDynamoDB()
	if err != nil {
		return err
	}
	defer local.Stop()
	for _, d := range ofDynamoDB {
		sizes := d.sizes
		if b.size.name == "short" {
			sizes = sizes[:2]
		}
		var first [2]float64
		for i, n := range sizes {
			fmt.Fprintf(b.progress, "bench: growth: DynamoDB, %d %s\n", n, d.what)
			calls, kib, err := b.callsOfAJoin(local, d.fill, n)
			if err != nil {
				return fmt.Errorf("DynamoDB, %d %s: %w", n, d.what, err)
			}
			name := fmt.Sprintf("DynamoDB, %d %s: a join", n, d.what)
			b.table.add("growth", name, calls, "calls", nil)
			b.table.add("growth", name, kib, "KiB read", nil)
			if i == 0 {
				first = [2]float64{calls, kib}
				continue
			}
			b.table.add("growth", name+": calls", calls/first[0], fmt.Sprintf("x of %d", sizes[0]), logarithm(n, sizes[0]))
			b.table.add("growth", name+": KiB read", kib/first[1], fmt.Sprintf("x of %d", sizes[0]), logarithm(n, sizes[0]))
		}
	}
	return nil
}

func (b *bench) callsOfAJoin(local *awstest.DynamoDB, fill func(*bench, *grown, int) error, n int) (calls, kib float64, err error) {
	names, err := awstest.NewTables(b.ctx, local.Client())
	if err != nil {
		return 0, 0, err
	}
	count := &counted{http: http.DefaultTransport}
	s, err := dynamo.New(dynamo.Config{Tables: names, Client: local.Client(func(o *dynamodb.Options) { o.HTTPClient = &http.Client{Transport: count} })})
	if err != nil {
		return 0, 0, err
	}
	keys, err := b.issuer.JWKS()
	if err != nil {
		return 0, 0, err
	}
	g := &grown{store: s}
	documents, _, err := rules.Parse("bench", []byte(strings.ReplaceAll(benchRules, "ISSUER", b.issuer.BitbucketURL())))
	if err != nil {
		return 0, 0, err
	}
	var all []rules.Resource
	for _, d := range documents {
		all = append(all, d.Resource)
	}
	err = errors.Join(put(b.ctx, s, all), g.putKeys(b.ctx, b.issuer.BitbucketURL(), keys), fill(b, g, n))
	if err != nil {
		return 0, 0, err
	}
	count.calls.Store(0)
	count.bytes.Store(0)
	err = askAsAJoin(b.ctx, s, b.issuer.BitbucketURL())
	return float64(count.calls.Load()), float64(count.bytes.Load()) / 1024, err
}

// askAsAJoin asks a store what internal/join asks for a join that is granted.
func askAsAJoin(ctx context.Context, s store.Store, issuer string) error {
	_, ruleErr := store.Token(ctx, s, "example")
	bot, botErr := store.Bot(ctx, s, "example")
	_, keysErr := s.KeySet(ctx, issuer)
	if err := errors.Join(ruleErr, botErr, keysErr); err != nil {
		return err
	}
	_, locksErr := store.Locks(ctx, s)
	_, rolesErr := store.Roles(ctx, s, bot.Roles)
	u := grownUse(time.Now())
	_, usesErr := s.Uses(ctx, u.IDToken)
	_, useErr := s.Use(ctx, u)
	return errors.Join(locksErr, rolesErr, usesErr, useErr)
}

func grownUse(now time.Time) store.Use {
	r := store.Record{JoinID: ulid.MustNew(ulid.Timestamp(now), rand.Reader).String(), Time: now, Code: store.CodeOK, Token: "example", Bot: "example", IDToken: rand.Text()}
	return store.Use{IDToken: r.IDToken, Digest: rand.Text(), MaxJoins: 1, MaxAnswers: 1, IssuedAt: now,
		NotAfter: now.Add(time.Hour), KeepUntil: now.Add(time.Hour), Record: r, RecordUntil: now.Add(time.Hour)}
}

// putRecords stores n records and as many uses.
func (b *bench) putRecords(g *grown, n int) error {
	for range n {
		if _, err := g.store.Use(b.ctx, grownUse(newest())); err != nil {
			return err
		}
	}
	return nil
}
