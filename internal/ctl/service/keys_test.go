package service

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/jwks"
)

// aStore is a backend of which only the name is asked.
type aStore struct{ ctl.Backend }

func (aStore) String() string { return "a store" }

// A refresh of 10,000 issuers told 10,000 times that nothing had changed.
func TestARefreshOfManyIssuersTellsWhatChanged(t *testing.T) {
	results := func(n int) (all []jwks.Result) {
		for i := range n {
			all = append(all, jwks.Result{Issuer: fmt.Sprintf("https://issuer-%d.example.com", i), Keys: 1})
		}
		all[0].Err, all[1].Added = errors.New("no answer"), []string{"new"}
		return all
	}
	printed := func(format string, n int) string {
		t.Helper()
		var out bytes.Buffer
		c := &commands{Env: &ctl.Env{Env: cli.Env{Out: &out, Format: format}}}
		if err := c.printResults(aStore{}, results(n)); err == nil || !strings.Contains(err.Error(), "1 issuer could not be refreshed") {
			t.Errorf("the error is %v", err)
		}
		return out.String()
	}
	if got := strings.Count(printed("text", ctl.Few), "\n"); got != ctl.Few+1 {
		t.Errorf("%d lines about few issuers", got)
	}
	want := `failed     https://issuer-0.example.com: no answer
refreshed  https://issuer-1.example.com: 1 key, added "new"
unchanged  the keys of 9998 issuers are as they were
store: a store
`
	if got := printed("text", 10_000); got != want {
		t.Errorf("printed\n%.400s\nwant\n%s", got, want)
	}
	if got := strings.Count(printed("json", 10_000), `"issuer"`); got != 10_000 {
		t.Errorf("machines are told of %d issuers", got)
	}
}
