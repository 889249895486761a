package main

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// guessedRules are what a stranger's guesses meet. All names have seven letters, as the
// guesses that meet nothing have: a longer request takes longer.
const guessedRules = `
kind: token
version: v2
metadata: {name: expired, expires: "2020-01-01T00:00:00Z"}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: ISSUER
    audience: https://join.example.com
    allow: [{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}]
---
kind: token
version: v2
metadata: {name: another}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/other/pipelines-config/identity/oidc
    audience: https://join.example.com
    allow: [{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}]
---
kind: token
version: v2
metadata: {name: circles}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    allow: [{context_id: 00000000-0000-0000-0000-000000000002, vcs_origin: github.com/acme/shop}]
`

// guess is a token rule that a stranger tries, with an ID token that nobody signed.
type guess struct {
	what, rule string
	code       api.Code
}

// unknownRule is what the others are compared with.
var unknownRule = guess{"an unknown rule", "nothing", api.CodeTokenNotFound}

// guessesMade are compared with it. The first shows the noise. The last is right in the
// rule and its issuer, which the answer tells anyway.
var guessesMade = []guess{
	{"another unknown rule", "nowhere", api.CodeTokenNotFound},
	{"an expired rule", "expired", api.CodeTokenNotFound},
	{"a rule of another issuer", "another", api.CodeTokenNotFound},
	{"a rule of another CI", "circles", api.CodeTokenNotFound},
	{"a rule and its issuer", "example", api.CodeIDTokenBadSignature},
}

// guesses measures whether the time of an answer tells a stranger what an unsigned ID token's
// guess has met. In a pair of answers, one of them for an unknown rule, the slower is taken for
// the rule that exists: right in half of the pairs is what a coin does.
func (b *bench) guesses() error {
	s, err := b.serve("serve on disk", b.dir)
	if err != nil {
		return err
	}
	defer s.stop()
	file := filepath.Join(b.dir, "guessed.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(guessedRules, "ISSUER", b.issuer.BitbucketURL())), 0o600); err != nil {
		return err
	}
	if err := b.ctl(nil, "apply", "-f", file, "--data", s.data); err != nil {
		return err
	}
	took, err := b.guess(s, append([]guess{unknownRule}, guessesMade...))
	if err != nil {
		return err
	}
	b.table.add("guesses", unknownRule.what+": p50", median(took[unknownRule.rule]), "ms", nil)
	for _, g := range guessesMade {
		var limit *Limit
		if g.code == unknownRule.code {
			limit = atMost(0.53)
		}
		b.table.add("guesses", g.what+": p50", median(took[g.rule]), "ms", nil)
		b.table.add("guesses", g.what+": told from "+unknownRule.what, toldApart(took[unknownRule.rule], took[g.rule]), "of 1", limit)
	}
	return nil
}

// guess sends each guess as often as a load has joins, one at a time over one connection and in
// a random order, and returns how long the answers took in ms, by rule.
func (b *bench) guess(s *server, all []guess) (map[string][]float64, error) {
	bodies := map[string][]byte{}
	for _, g := range all {
		body, err := b.unsigned(g.rule)
		if err != nil {
			return nil, err
		}
		bodies[g.rule] = body
	}
	client := newClient(1, nil)
	defer client.CloseIdleConnections()
	took := map[string][]float64{}
	for round := range b.size.joins {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, g := range all {
			began := time.Now()
			code, err := ask(client, s.url+api.PathJoin, bodies[g.rule])
			d := time.Since(began)
			if err == nil && code != g.code {
				err = fmt.Errorf("%s: answered %s, want %s", g.what, code, g.code)
			}
			if err != nil {
				return nil, err
			}
			if round >= b.size.joins/20 { // what is read for the first time is kept
				took[g.rule] = append(took[g.rule], float64(d)/float64(time.Millisecond))
			}
		}
	}
	return took, nil
}

// unsigned is a request by a rule with an ID token whose signature is nobody's.
func (b *bench) unsigned(rule string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return nil, err
	}
	body, err := b.request(key)
	if err != nil {
		return nil, err
	}
	var r api.JoinRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	signature := strings.LastIndex(r.IDToken, ".") + 1
	r.Token, r.IDToken = rule, r.IDToken[:signature]+strings.Repeat("A", len(r.IDToken)-signature)
	return json.Marshal(r)
}

// ask sends a request that is refused, and returns the code.
func ask(client *http.Client, url string, body []byte) (api.Code, error) {
	response, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var problem api.Problem
	err = json.Unmarshal(text, &problem)
	return problem.Code, err
}

// toldApart is in which part of all pairs of an a and a b the larger is of the same side, ties
// half: 0.5 is a coin and 1 tells them apart (Mann and Whitney's U, over the pairs).
func toldApart(a, b []float64) float64 {
	type timed struct {
		took float64
		of   int
	}
	var both []timed
	for of, side := range [][]float64{a, b} {
		for _, took := range side {
			both = append(both, timed{took, of})
		}
	}
	slices.SortFunc(both, func(x, y timed) int { return cmp.Compare(x.took, y.took) })
	var wins, before float64 // pairs in which b is larger, and how many of a were passed
	for i := 0; i < len(both); {
		var tied [2]float64
		j := i
		for ; j < len(both) && both[j].took == both[i].took; j++ {
			tied[both[j].of]++
		}
		wins += tied[1] * (before + tied[0]/2)
		before += tied[0]
		i = j
	}
	share := wins / float64(len(a)*len(b))
	return max(share, 1-share)
}
