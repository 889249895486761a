package golden_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	_ "modernc.org/sqlite"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/storetest"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
	"github.com/gatepass-ci/gatepass/test/golden"
)

// base is far ahead, so that no store deletes what is past.
var base = time.Date(2090, 6, 1, 12, 0, 0, 123456789, time.FixedZone("", 7200))

// TestStores holds both stores to what is stored of the same calls.
func TestStores(t *testing.T) {
	a := golden.Open(t, "stores")
	documents, _, err := rules.Parse("resources.yaml", a.Input("../rules/resources.yaml"))
	must(t, err)
	keys := a.Input("keys.pem")
	for _, body := range []struct {
		name   string
		encode func() ([]byte, error)
	}{
		{"record.json", func() ([]byte, error) { return store.EncodeRecord(fullRecord()) }},
		{"record.least.json", func() ([]byte, error) { return store.EncodeRecord(leastRecord()) }},
		{"revocation.json", func() ([]byte, error) { return store.EncodeRevocation(revocation()) }},
		{"authority.json", rotatedAuthority(t, keys).Encode},
	} {
		encoded, err := body.encode()
		must(t, err)
		a.Compare(body.name, encoded)
	}

	dir := t.TempDir()
	embedded, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	must(t, err)
	fill(t, embedded, documents, rotatedAuthority(t, keys))
	must(t, embedded.Close())
	a.Compare("sqlite.txt", sqliteRows(t, filepath.Join(dir, sqlite.FileName)))

	server, err := awstest.StartDynamoDB()
	if err != nil && errors.Is(err, awstest.ErrUnavailable) && os.Getenv("CI") == "" {
		a.Input("dynamo.txt")
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(server.Stop)
	names, err := awstest.NewTables(t.Context(), server.Client())
	must(t, err)
	deployed, err := dynamo.New(dynamo.Config{Client: server.Client(), Tables: names})
	must(t, err)
	fill(t, deployed, documents, rotatedAuthority(t, keys))
	_, err = deployed.PutCertificate(t.Context(), cert.X509Identity, "", "the first certificate\n")
	must(t, err)
	_, err = deployed.PutCertificate(t.Context(), cert.X509Identity, "arn:aws:kms:eu-central-1:123456789012:key/new", "another certificate\n")
	must(t, err)
	a.Compare("dynamo.txt", dynamoItems(t, server.Client(), names))
}

// fill writes one of each thing that a store keeps, and changes some of them.
func fill(t *testing.T, s storetest.Store, documents []rules.Document, rotated authority.State) {
	ctx := t.Context()
	var changes []store.Change
	for i, d := range documents {
		changes = append(changes, store.Change{Kind: d.Resource.Kind(), Name: d.Resource.Name(), Resource: d.Resource, At: base, Edited: i%2 == 1})
	}
	must(t, s.Write(ctx, changes))
	removed, err := s.Get(ctx, rules.KindLock, "stop-all")
	must(t, err)
	must(t, s.Write(ctx, []store.Change{{Kind: rules.KindLock, Name: "stop-all", Revision: removed.Revision, At: base}}))

	for _, r := range []store.Record{fullRecord(), leastRecord()} {
		must(t, s.Record(ctx, r, base.Add(90*24*time.Hour).Truncate(time.Second)))
	}
	for _, digest := range []string{strings.Repeat("1", 64), strings.Repeat("2", 64), strings.Repeat("1", 64)} {
		_, err := s.Use(ctx, store.Use{IDToken: strings.Repeat("a", 64), Digest: digest, MaxJoins: 2, MaxAnswers: 2,
			NotAfter: base.Add(time.Hour).Truncate(time.Second), KeepUntil: base.Add(25 * time.Hour).Truncate(time.Second),
			Record: leastRecord(), RecordUntil: base.Add(90 * 24 * time.Hour).Truncate(time.Second)})
		must(t, err)
	}
	for _, until := range []time.Duration{time.Minute, 2 * time.Minute} {
		_, err := s.Lease(ctx, "refresh:https://oidc.example.com", base, base.Add(until))
		must(t, err)
	}
	_, err = s.Revoke(ctx, []store.Revocation{revocation()})
	must(t, err)
	must(t, s.PutRotatedAuthority(ctx, rotated, "", base))

	issuer := func(n int) string { return fmt.Sprintf("https://issuer-%d.example.com/oidc", n) }
	keys := []byte(`{"keys":[{"kty":"RSA","kid":"1","n":"AQAB","e":"AQAB"}]}`)
	must(t, s.PutKeySet(ctx, store.KeySet{Issuer: issuer(1), JWKS: keys, FetchedAt: base, TriedAt: base}))
	must(t, s.PutKeySet(ctx, store.KeySet{Issuer: issuer(2), JWKS: keys, FetchedAt: base, TriedAt: base, Pinned: true}))
	must(t, s.PutKeySet(ctx, store.KeySet{Issuer: issuer(3), JWKS: keys, FetchedAt: base, TriedAt: base, Pinned: true}))
	must(t, s.Unpin(ctx, issuer(3)))
	must(t, s.KeySetFailed(ctx, issuer(1), base.Add(time.Minute), "größe: connection refused"))
	must(t, s.KeySetFailed(ctx, issuer(4), base.Add(time.Minute), "no such host"))
}

func leastRecord() store.Record {
	return store.Record{JoinID: "7ZZZZZZZZZZZZZZZZZZZZZZZZ1", Time: base.Add(time.Hour), Code: "no_rule_matched", Token: "example-bot",
		Bot: "example", Method: api.MethodCircleCI, IDToken: strings.Repeat("b", 64), Claims: map[string]any{}}
}

func fullRecord() store.Record {
	rule := 0
	return store.Record{JoinID: "7ZZZZZZZZZZZZZZZZZZZZZZZZ0", Time: base, Code: store.CodeOK, Detail: "größe 🚀 <&> \u2028", Token: "example-bot",
		Bot: "example", Method: api.MethodBitbucket, SourceAddr: "2001:db8::1", Client: &api.ClientInfo{Version: "1.0.0", OS: "linux", Arch: "amd64"},
		IDToken: strings.Repeat("a", 64), Digest: strings.Repeat("1", 64),
		Claims: map[string]any{"sub": "x", "exp": json.Number("253402300799"), "small": json.Number("1.50e-7"), "true": true, "null": nil,
			"list": []any{"a", json.Number("1"), map[string]any{"$": "<"}}},
		Rule: &rule, Mismatches: []store.RuleMismatch{{Rule: 1, Fields: []store.FieldMismatch{
			{Field: "branch_name", Want: "main", Got: []string{"", "größe"}}, {Field: "workspace_uuid", Want: "{w}"},
		}}}, MismatchesLeftOut: 3, ClaimsCut: 2, ValuesCut: 1, Repeated: 64, Lock: "stop", TTLSeconds: 900, TTLLimitedBy: "role:deployer", RetryOf: "7ZZZZZZZZZZZZZZZZZZZZZZZZ2",
		Credentials: []store.RecordCredential{
			{Name: "ssh", Type: "ssh", Serial: "18446744073709551615", Principals: []string{"deploy"}, Roles: []string{"deployer"}, ExpiresAt: base.Add(time.Hour)},
			{Name: "tls", Type: "x509", Usage: "identity", Serial: "abc", Subject: "CN=example", ExpiresAt: base.Add(time.Hour)},
		}}
}

func revocation() store.Revocation {
	return store.Revocation{ID: "7ZZZZZZZZZZZZZZZZZZZZZZZZ0", JoinID: "7ZZZZZZZZZZZZZZZZZZZZZZZZ0", Bot: "example", Token: "example-bot", At: base,
		By: "größe", Reason: "incident 42 <&>", Certificates: []store.RevokedCertificate{
			{Authority: cert.SSHUser, Serial: "9223372036854775807", ExpiresAt: base.Add(time.Hour)},
			{Authority: cert.X509Database, Serial: strings.Repeat("f", 32), ExpiresAt: base.Add(time.Minute)},
		}}
}

// rotatedAuthority went through a whole rotation and began another.
func rotatedAuthority(t *testing.T, keys []byte) authority.State {
	t.Helper()
	a, err := authority.First(cert.SSHUser, "first", publicKey(t, keys, 0))
	must(t, err)
	for i, step := range []func() (authority.State, error){
		func() (authority.State, error) { return a.Begin("arn:second", publicKey(t, keys, 1), base) },
		func() (authority.State, error) { return a.Sign(base.Add(24 * time.Hour)) },
		func() (authority.State, error) { return a.Finish(base.Add(72 * time.Hour)) },
		func() (authority.State, error) {
			return a.Begin("arn:third", publicKey(t, keys, 2), base.Add(96*time.Hour))
		},
	} {
		if a, err = step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	return a
}

// publicKey is one of several PEM blocks.
func publicKey(t *testing.T, rest []byte, n int) *ecdsa.PublicKey {
	t.Helper()
	for ; n > 0; n-- {
		_, rest = pem.Decode(rest)
	}
	block, _ := pem.Decode(rest)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(t, err)
	return key.(*ecdsa.PublicKey)
}

// sqliteRows are the schema and the rows of every table as stored.
func sqliteRows(t *testing.T, file string) []byte {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	must(t, err)
	defer db.Close()
	var out bytes.Buffer
	for _, row := range query(t, db, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name") {
		fmt.Fprintf(&out, "%s %s\n%s\n", row["type"], row["name"], row["sql"])
		if row["type"] != "table" {
			continue
		}
		var rows []string
		for _, stored := range query(t, db, fmt.Sprintf("SELECT * FROM %q", row["name"])) {
			rows = append(rows, rowText(stored))
		}
		slices.Sort(rows)
		fmt.Fprintf(&out, "%s", strings.Join(rows, ""))
	}
	for _, pragma := range []string{"user_version", "application_id"} {
		fmt.Fprintf(&out, "%v\n", query(t, db, "PRAGMA "+pragma)[0])
	}
	return out.Bytes()
}

func query(t *testing.T, db *sql.DB, statement string) (all []map[string]any) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), statement)
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		must(t, rows.Scan(into...))
		row := make(map[string]any)
		for i, name := range columns {
			row[name] = values[i]
		}
		all = append(all, row)
	}
	must(t, rows.Err())
	return all
}

// rowText shows a row or an item, a column to a line, with what is random replaced.
func rowText(row map[string]any) string {
	var out strings.Builder
	out.WriteString("  -\n")
	for _, name := range slices.Sorted(maps.Keys(row)) {
		value := row[name]
		ofGeneration := name == "id" && row["number"] != nil
		if (name == "revision" || name == "holder" || ofGeneration) && value != "" {
			value = "(random)"
		}
		format := "    %s: %T %v\n"
		if _, ok := value.([]byte); ok {
			format = "    %s: %T %s\n"
		}
		fmt.Fprintf(&out, format, name, value, value)
	}
	return out.String()
}

// dynamoItems are the items of the three tables as stored, with the types of their attributes.
func dynamoItems(t *testing.T, client *dynamodb.Client, names dynamo.Tables) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, table := range dynamo.Schema() {
		fmt.Fprintf(&out, "table %s hash %s range %s ttl %s\n", table.Name, table.Hash, table.Range, table.TTL)
		found, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(names.Named(table))})
		must(t, err)
		var items []string
		for _, item := range found.Items {
			items = append(items, rowText(plain(t, item)))
		}
		slices.Sort(items)
		fmt.Fprintf(&out, "%s", strings.Join(items, ""))
	}
	return out.Bytes()
}

// plain gives each attribute as a number, a string, a truth or a sorted set.
func plain(t *testing.T, item map[string]types.AttributeValue) map[string]any {
	t.Helper()
	row := make(map[string]any)
	for name, value := range item {
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			row[name] = v.Value
		case *types.AttributeValueMemberN:
			row[name] = json.Number(v.Value)
		case *types.AttributeValueMemberBOOL:
			row[name] = v.Value
		case *types.AttributeValueMemberB:
			row[name] = v.Value
		case *types.AttributeValueMemberSS:
			row[name] = slices.Sorted(slices.Values(v.Value))
		default:
			t.Fatalf("attribute %s has type %T", name, value)
		}
	}
	return row
}
