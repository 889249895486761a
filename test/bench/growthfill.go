package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver, for what is filled in at once

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// grownRule is a token rule of an issuer with so many allow rules, of which the last one lets
// jobs of the bench in.
func (b *bench) grownRule(name, issuer string, allow int) string {
	var all strings.Builder
	for i := range allow - 1 {
		fmt.Fprintf(&all, `{repository_uuid: "{00000000-0000-4000-8000-%012d}"}, `, i)
	}
	return fmt.Sprintf(`kind: token
version: v2
metadata: {name: %s}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: %s
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow: [%s{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}]
`, name, issuer, all.String())
}

// put stores resources, in place of those that are there.
func put(ctx context.Context, s store.Store, all []rules.Resource) error {
	var changes []store.Change
	for _, r := range all {
		change := store.Change{Kind: r.Kind(), Name: r.Name(), Resource: r, At: time.Now()}
		if stored, err := s.Get(ctx, r.Kind(), r.Name()); err == nil {
			change.Revision = stored.Revision
		}
		changes = append(changes, change)
	}
	for batch := range slices.Chunk(changes, store.MaxChanges) {
		if err := s.Write(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func parsed(text string) (rules.Resource, error) {
	documents, _, err := rules.Parse("bench", []byte(text))
	if err != nil {
		return nil, err
	}
	return documents[0].Resource, nil
}

// change changes a lock that stops nobody of the bench.
func (g *grown) change(ctx context.Context, i int) error {
	lock, err := parsed(fmt.Sprintf("kind: lock\nversion: v2\nmetadata: {name: changes}\nspec: {target: {bot: nobody}, message: \"%d\"}\n", i))
	if err != nil {
		return err
	}
	return put(ctx, g.store, []rules.Resource{lock})
}

func (b *bench) fillRules(g *grown, n int) error {
	r, err := parsed(b.grownRule("grown", b.issuer.BitbucketURL(), 1))
	if err != nil {
		return err
	}
	all := make([]rules.Resource, n)
	for i := range all {
		one := *r.(*rules.TokenRule)
		one.Metadata.Name = grownName(i)
		all[i] = &one
	}
	return put(b.ctx, g.store, all)
}

func (b *bench) fillAllow(g *grown, n int) error {
	r, err := parsed(b.grownRule("example", b.issuer.BitbucketURL(), n))
	if err != nil {
		return err
	}
	return put(b.ctx, g.store, []rules.Resource{r})
}

func (b *bench) fillLocks(g *grown, n int) error {
	var all []rules.Resource
	for i := range n {
		lock, err := parsed(fmt.Sprintf("kind: lock\nversion: v2\nmetadata: {name: %s}\nspec: {target: {bot: %[1]s}, message: incident}\n", grownName(i)))
		if err != nil {
			return err
		}
		all = append(all, lock)
	}
	return put(b.ctx, g.store, all)
}

// fillKeys gives the issuer so many keys, of which it signs by the last.
func (b *bench) fillKeys(g *grown, n int) error {
	text, err := b.issuer.JWKS()
	if err != nil {
		return err
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return err
	}
	var all []map[string]string
	for i := range n - len(set.Keys) {
		modulus := make([]byte, 256) // of no key that anyone has
		if _, err := rand.Read(modulus); err != nil {
			return err
		}
		modulus[0], modulus[255] = modulus[0]|0x80, modulus[255]|1
		all = append(all, map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB",
			"kid": grownName(i), "n": base64.RawURLEncoding.EncodeToString(modulus)})
	}
	set.Keys = append(all, set.Keys...)
	if text, err = json.Marshal(set); err != nil {
		return err
	}
	return g.putKeys(b.ctx, b.issuer.BitbucketURL(), text)
}

func (g *grown) putKeys(ctx context.Context, issuer string, jwks []byte) error {
	now := time.Now()
	return g.store.PutKeySet(ctx, store.KeySet{Issuer: issuer, JWKS: jwks, FetchedAt: now, TriedAt: now, Pinned: true})
}

func (b *bench) fillIssuers(g *grown, n int) error {
	keys, err := b.issuer.JWKS()
	if err != nil {
		return err
	}
	var all []rules.Resource
	for i := range n {
		r, err := parsed(b.grownRule(grownName(i), grownIssuer(i), 1))
		if err != nil {
			return err
		}
		all = append(all, r)
		if err := g.putKeys(b.ctx, grownIssuer(i), keys); err != nil {
			return err
		}
	}
	return put(b.ctx, g.store, all)
}

// fillRecords makes n records of one that a join has left, and as many uses, all of them
// older than what status looks at.
func (b *bench) fillRecords(g *grown, n int) error {
	bodies, err := b.mint(1)
	if err != nil {
		return err
	}
	if _, err := b.join(newClient(1, nil), g.url, bodies[0]); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.data, sqlite.FileName)+"?_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	oldest := newest().Add(-time.Duration(n) * 10 * time.Millisecond)
	for from := 0; from < n; from += fillBatch {
		if err := insertRecords(b.ctx, db, oldest, from, min(from+fillBatch, n)); err != nil {
			return err
		}
	}
	return nil
}

// fillBatch is how many records a transaction makes: all of it is in SQLite's log until it ends.
const fillBatch = 250_000

// insertRecords copies the newest record and its use, for the numbers after from and up to end.
func insertRecords(ctx context.Context, db *sql.DB, oldest time.Time, from, end int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const numbers = `WITH RECURSIVE n(i) AS (SELECT ?1 + 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) `
	var id, token, bot, code, body string
	var keep, notAfter, issued int64
	if err := errors.Join(
		tx.QueryRowContext(ctx, `SELECT join_id, token, bot, code, keep_until, body FROM records ORDER BY time DESC LIMIT 1`).Scan(&id, &token, &bot, &code, &keep, &body),
		tx.QueryRowContext(ctx, `SELECT not_after, issued_at FROM uses LIMIT 1`).Scan(&notAfter, &issued)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, numbers+`INSERT INTO records (join_id, time, token, bot, code, keep_until, body)
		SELECT printf('00%024d', i), ?3 + i * 10000000, ?4, ?5, ?6, ?7 + i, CAST(replace(?8, ?9, printf('00%024d', i)) AS BLOB) FROM n`,
		from, end, oldest.UnixNano(), token, bot, code, keep, body, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, numbers+`INSERT INTO uses (id_token, digest, join_id, not_after, answers, issued_at, keep_until)
		SELECT lower(hex(randomblob(32))), lower(hex(randomblob(32))), printf('00%024d', i), ?3, 1, ?4, ?5 + i FROM n`,
		from, end, notAfter, issued, notAfter); err != nil {
		return err
	}
	return tx.Commit()
}
