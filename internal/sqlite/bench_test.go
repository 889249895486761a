package sqlite_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// benchStore holds what a join reads. The context can end, as a request's can.
func benchStore(b *testing.B) (context.Context, *sqlite.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	s := open(b, b.TempDir())
	var changes []store.Change
	for _, r := range []rules.Resource{sampleToken("example-bot"), sampleBot("example")} {
		changes = append(changes, store.Change{Kind: r.Kind(), Name: r.Name(), Resource: r, At: time.Now()})
	}
	if err := s.Write(ctx, changes); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return ctx, s
}

func BenchmarkToken(b *testing.B) {
	ctx, s := benchStore(b)
	for b.Loop() {
		if _, err := store.Token(ctx, s, "example-bot"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLocks(b *testing.B) {
	ctx, s := benchStore(b)
	for b.Loop() {
		if _, err := store.Locks(ctx, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClaim(b *testing.B) {
	ctx, s := benchStore(b)
	for b.Loop() {
		if _, err := s.Uses(ctx, "none"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUse(b *testing.B) {
	ctx, s := benchStore(b)
	now := time.Now()
	for i := 0; b.Loop(); i++ {
		u := store.Use{IDToken: fmt.Sprintf("%064d", i), Digest: "d", MaxJoins: 1, NotAfter: now, KeepUntil: now,
			Record: store.Record{JoinID: joinID(i), Time: now, Code: store.CodeOK, Token: "example-bot", Bot: "example"}, RecordUntil: now}
		if _, err := s.Use(ctx, u); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	ctx, s := benchStore(b)
	now := time.Now()
	for i := 0; b.Loop(); i++ {
		r := store.Record{JoinID: joinID(i), Time: now, Code: store.CodeOK, Token: "example-bot", Bot: "example"}
		if err := s.Record(ctx, r, now); err != nil {
			b.Fatal(err)
		}
	}
}

func sampleToken(name string) *rules.TokenRule {
	return &rules.TokenRule{
		Metadata: rules.Metadata{Name: name}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "example", MaxJoins: 1, MaxTokenAge: time.Hour,
		Sections: rules.Sections{"circleci": {
			Settings: provider.Values{{Name: "organization_id", Value: "00000000-0000-0000-0000-000000000001"}},
			Allow:    []provider.Values{{{Name: "project_id", Value: "00000000-0000-0000-0000-000000000002"}, {Name: "vcs_origin", Value: "github.com/acme/shop"}}},
		}},
	}
}
