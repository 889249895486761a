package soak

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// use is what a record says a credential was granted for.
type use struct{ idToken, digest string }

// compare compares what clients got with the records that gatepassctl joins export writes, and with the
// uses that the store has. A credential without its record or its use is lost. An ID token is doubled that
// bought more than maxJoins credentials, or two with one request.
func (l *load) compare(export string, ledger store.Ledger) (lost, doubled int) {
	l.t.Helper()
	recorded := map[grant]use{}
	for line := range strings.Lines(export) {
		var r store.Record
		worldtest.Must(l.t, json.Unmarshal([]byte(line), &r))
		for _, c := range r.Credentials {
			recorded[grant{r.JoinID, c.Serial}] = use{r.IDToken, r.Digest}
		}
	}
	for _, token := range l.tokens {
		serials := map[string]bool{}
		for _, r := range token.requests {
			one := map[string]bool{}
			for _, g := range r.grants {
				one[g.serial], serials[g.serial] = true, true
				u, ok := recorded[g]
				if !ok {
					lost++
					l.t.Errorf("join %s has no record of the credential %s", g.joinID, g.serial)
					continue
				}
				uses, err := ledger.Uses(l.t.Context(), u.idToken)
				worldtest.Must(l.t, err)
				if _, ok := uses[u.digest]; !ok && !token.early {
					lost++
					l.t.Errorf("join %s has a record and no use", g.joinID)
				}
				if len(uses) > maxJoins {
					doubled++
					l.t.Errorf("the ID token %s has %d uses", u.idToken, len(uses))
				}
			}
			if len(one) > 1 {
				doubled++
				l.t.Errorf("one request bought %d credentials: %v", len(one), r.grants)
			}
		}
		if len(serials) > maxJoins {
			doubled++
			l.t.Errorf("one ID token bought %d credentials", len(serials))
		}
	}
	return lost, doubled
}

// summary prints what happened.
func (l *load) summary(lost, doubled int) {
	l.t.Helper()
	l.t.Logf("joins %d, requests without an answer %d, lost %d, doubled %d\n    faults by kind: %s\n    refusals by code: %s",
		l.joins, l.unanswered, lost, doubled, counts(l.faults), counts(l.refusals))
}

func counts[K ~string](m map[K]int) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(all, ", ")
}
