package dynamo_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// leaveOut has DynamoDB answer without some of the items that were asked for, as
// it does when it is throttled in part.
func leaveOut(all bool) awstest.Fault {
	return func(r awstest.Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		var answer map[string]any
		recorded := httptest.NewRecorder()
		forward(recorded)
		if err := json.Unmarshal(recorded.Body.Bytes(), &answer); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for table, request := range r.Body["RequestItems"].(map[string]any) {
			keys := request.(map[string]any)["Keys"].([]any)
			kept := 1 // of those asked for, if it exists
			if all {
				kept = 0
			}
			var items []any
			for _, one := range answer["Responses"].(map[string]any)[table].([]any) {
				for _, key := range keys[:kept] {
					if fmt.Sprint(one.(map[string]any)["name"]) == fmt.Sprint(key.(map[string]any)["name"]) {
						items = append(items, one)
					}
				}
			}
			answer["Responses"] = map[string]any{table: items}
			if len(keys) > kept {
				answer["UnprocessedKeys"] = map[string]any{table: map[string]any{"Keys": keys[kept:], "ConsistentRead": true}}
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func TestRolesLeftOut(t *testing.T) {
	t.Parallel()
	s, direct, proxy := behindProxy(t)
	if err := direct.Write(t.Context(), create(role("a"), role("b"), role("c"))); err != nil {
		t.Fatal(err)
	}
	names := []string{"c", "none", "a", "b"}

	t.Run("some each time", func(t *testing.T) {
		proxy.Set(leaveOut(false))
		roles, err := store.Roles(t.Context(), s, names)
		var got string
		for _, r := range roles {
			got += r.Name()
		}
		if err != nil || got != "cab" {
			t.Errorf("got the roles %q, %v; want cab", got, err)
		}
		if n := len(proxy.Requests()); n != len(names) {
			t.Errorf("%d requests, want one for each of %d names", n, len(names))
		}
	})
	t.Run("all each time", func(t *testing.T) {
		proxy.Set(leaveOut(true))
		if roles, err := store.Roles(t.Context(), s, names); err == nil {
			t.Errorf("got %d roles and no error: a role that was left out looks like one that does not exist", len(roles))
		}
		if n := len(proxy.Requests()); n != dynamo.BatchTries {
			t.Errorf("%d requests, want %d", n, dynamo.BatchTries)
		}
	})
}

// TestManyRoles asks for more than one BatchGetItem may.
func TestManyRoles(t *testing.T) {
	t.Parallel()
	s := open(t, tables(t))
	if err := s.Write(t.Context(), create(role("r0"), role("r100"), role("r119"))); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range 120 {
		names = append(names, fmt.Sprintf("r%d", i))
	}
	if roles, err := store.Roles(t.Context(), s, names); err != nil || len(roles) != 3 {
		t.Errorf("got %d roles, %v; want 3", len(roles), err)
	}
}
