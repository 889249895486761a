package dynamo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
)

// TestRequests holds each call to what it may cost, and to the keys that policies
// allow: one request, of one table, under these partition keys; reads are consistent.
func TestRequests(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"Write":               "TransactWriteItems Put Resources bot, Put Resources role",
		"Get":                 "GetItem Resources bot",
		"Token":               "GetItem Resources token",
		"Bot":                 "GetItem Resources bot",
		"Roles":               "BatchGetItem Resources role role",
		"Locks":               "Query Resources lock",
		"List":                "Query Resources bot",
		"Issuers":             "Query Resources token",
		"Use":                 "PutItem Joins record/" + stored.JoinID[25:] + ", UpdateItem Joins claim/token",
		"Uses":                "GetItem Joins claim/token",
		"Lease":               "UpdateItem Joins lease/refresh",
		"Record":              "PutItem Joins record/" + stored.JoinID[25:],
		"Join":                "GetItem Joins record/" + stored.JoinID[25:],
		"PutKeySet":           "PutItem KeySets " + issuer,
		"KeySetFailed":        "UpdateItem KeySets " + issuer,
		"KeySet":              "GetItem KeySets " + issuer,
		"KeySets":             "Scan KeySets",
		"Unpin":               "UpdateItem KeySets " + issuer,
		"PutRotatedAuthority": "PutItem Resources authority",
		"RotatedAuthorities":  "Query Resources authority",
		"Revoke":              "PutItem Resources revocation",
		"Revocations":         "Query Resources revocation",
		"Forget":              "Query Resources revocation",
		"PutCertificate":      "PutItem Joins certificate/x509-identity",
		"Certificate":         "GetItem Joins certificate/x509-identity",
	}
	s, _, proxy := behindProxy(t)
	names := map[string]string{}
	for _, table := range dynamo.Schema() {
		names[s.Tables().Named(table)] = table.Name
	}
	for _, c := range calls {
		proxy.Set(nil)
		if err := c.try(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []string
		for _, r := range proxy.Requests() {
			got = append(got, describe(t, r, names))
		}
		if c.name == "Joins" {
			slices.Sort(got)
			for i, shard := range dynamo.Shards {
				if len(got) != len(dynamo.Shards) || got[i] != "Query Joins record/"+string(shard) {
					t.Fatalf("Joins makes the requests %q, want a query of each of record/%s", got, dynamo.Shards)
				}
			}
			continue
		}
		slices.Sort(got) // those of Use are made at once
		if strings.Join(got, ", ") != want[c.name] {
			t.Errorf("%s makes the requests %q, want %q", c.name, got, want[c.name])
		}
	}
}

// describe is a request's operation, table and partition keys.
func describe(t *testing.T, r awstest.Request, tables map[string]string) string {
	t.Helper()
	consistent := true
	parts := []string{r.Operation}
	of := func(request map[string]any) []string {
		name, _ := request["TableName"].(string)
		return append([]string{tables[name]}, partitions(request)...)
	}
	switch r.Operation {
	case "TransactWriteItems":
		if token, _ := r.Body["ClientRequestToken"].(string); token == "" {
			t.Error("a transaction has no token: sent twice it would be refused")
		}
		var writes []string
		for _, w := range r.Body["TransactItems"].([]any) {
			for kind, request := range w.(map[string]any) {
				writes = append(writes, strings.Join(append([]string{kind}, of(request.(map[string]any))...), " "))
			}
		}
		parts = append(parts, strings.Join(writes, ", "))
	case "BatchGetItem":
		for name, request := range r.Body["RequestItems"].(map[string]any) {
			request := request.(map[string]any)
			consistent = request["ConsistentRead"] == true
			parts = append(parts, tables[name])
			for _, key := range request["Keys"].([]any) {
				parts = append(parts, partition(key)...)
			}
		}
	case "GetItem", "Query", "Scan":
		consistent = r.Body["ConsistentRead"] == true
		fallthrough
	default:
		parts = append(parts, of(r.Body)...)
	}
	if !consistent {
		t.Errorf("%s reads what may be out of date: %v", r.Operation, r.Body)
	}
	return strings.Join(parts, " ")
}

// partitions returns the values of the partition keys that a request names.
func partitions(request map[string]any) []string {
	for _, field := range []string{"Key", "Item", "ExpressionAttributeValues"} {
		if found := partition(request[field]); found != nil {
			return found
		}
	}
	return nil
}

func partition(attributes any) []string {
	values, _ := attributes.(map[string]any)
	for _, name := range []string{"kind", "issuer", "pk", ":kind", ":pk"} {
		if value, ok := values[name].(map[string]any); ok {
			return []string{fmt.Sprint(value["S"])}
		}
	}
	return nil
}
