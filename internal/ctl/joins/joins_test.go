package joins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func testCommands(out *bytes.Buffer) *commands {
	return &commands{&ctl.Env{Env: cli.Env{Name: "gatepassctl", Out: out, Err: io.Discard, Now: time.Now, Getenv: func(string) string { return "" }, Format: "text"}}}
}

// Every field of a record is shown. One that is added must be shown too: the test
// fails as long as it is not among what it looks for.
func TestJoinsShowHasEveryField(t *testing.T) {
	rule := 7
	at := time.Now().UTC().Truncate(time.Second)
	r := store.Record{
		JoinID: "the-join", Time: at, Code: "the_code", Detail: "the-detail", Token: "the-token", Bot: "the-bot", Method: "the-method",
		SourceAddr: "192.0.2.1", Client: &api.ClientInfo{Version: "the-version", OS: "the-os", Arch: "the-arch"},
		IDToken: "the-id-token", Digest: "the-digest", Claims: map[string]any{"claim": map[string]any{"nested": []any{json.Number("12345678901234567890")}}},
		Rule: &rule, MismatchesLeftOut: 4711, Lock: "the-lock", TTLSeconds: 754, TTLLimitedBy: "role:limits", RetryOf: "the-first-join",
		ClaimsCut: 17, ValuesCut: 18, Repeated: 4096,
		Mismatches: []store.RuleMismatch{{Rule: 3, Fields: []store.FieldMismatch{{Field: "the_field", Want: "the-want", Got: []string{"got-1", "got-2"}}, {Field: "lacking"}}}},
		Credentials: []store.RecordCredential{{Name: "the-name", Type: "the-type", Usage: "the-usage", Serial: "the-serial", Subject: "the-subject",
			Principals: []string{"principal-1", "principal-2"}, Roles: []string{"role-1", "role-2"}, ExpiresAt: at.Add(time.Hour)}},
	}
	var fields map[string]any
	encoded, err := store.EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &fields); err != nil {
		t.Fatal(err)
	}
	shown := map[string][]string{
		"join_id": {"the-join"}, "time": {ctl.Stamp(at)}, "code": {"the_code"}, "detail": {"the-detail"}, "token": {"the-token"}, "bot": {"the-bot"},
		"method": {"the-method"}, "source_addr": {"192.0.2.1"}, "client": {"the-version", "the-os", "the-arch"}, "id_token_sha256": {"the-id-token"},
		"digest": {"the-digest"}, "claims": {"claim", `{"nested":[12345678901234567890]}`}, "rule": {"allow[7]"}, "mismatches_left_out": {"4711 rules"},
		"claims_cut": {"17 claims"}, "values_cut": {"18 values"}, "repeated": {"4096 times or more"},
		"lock": {"the-lock"}, "ttl_seconds": {"12m34s"}, "ttl_limited_by": {"role:limits"}, "retry_of": {"the-first-join"},
		"mismatches":  {"allow[3]", "the_field", "the-want", "got-1, got-2", "lacking", "(absent)"},
		"credentials": {"the-name", "the-type", "the-usage", "the-serial", "the-subject", "principal-1", "principal-2", "role-1", "role-2", ctl.Stamp(at.Add(time.Hour))},
	}
	var out bytes.Buffer
	testCommands(&out).printJoin(r)
	for name := range fields {
		if len(shown[name]) == 0 {
			t.Errorf("this test does not know the field %s", name)
		}
		for _, want := range shown[name] {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the field %s is not shown: no %q in\n%s", name, want, &out)
			}
		}
	}
	if len(fields) != len(shown) {
		t.Errorf("the record has %d fields, and %d are expected", len(fields), len(shown))
	}
}

// What a job wrote does not reach the terminal as it is: it may move the cursor.
func TestWhatAJobWroteIsPlain(t *testing.T) {
	const nasty = "\x1b[2J\x1b]0;title\x07\r\u202eevil\u0085"
	r := store.Record{
		JoinID: "x", Code: store.CodeOK, Detail: nasty, Client: &api.ClientInfo{Version: nasty, OS: nasty, Arch: nasty},
		Claims:      map[string]any{nasty: nasty, "list": []any{nasty}},
		Mismatches:  []store.RuleMismatch{{Fields: []store.FieldMismatch{{Field: "branch_name", Want: nasty, Got: []string{nasty}}}}},
		Credentials: []store.RecordCredential{{Name: nasty, Subject: nasty, Principals: []string{nasty}}},
	}
	var out bytes.Buffer
	c := testCommands(&out)
	c.printJoin(r)
	c.printJoins([]store.Record{{Bot: nasty, Token: nasty}})
	for _, control := range []string{"\x1b", "\x07", "\r", "\u202e", "\u0085"} {
		if strings.Contains(out.String(), control) {
			t.Errorf("%q is printed:\n%q", control, out.String())
		}
	}
}

// lineCounter counts the lines that it was given.
type lineCounter struct{ lines int }

func (l *lineCounter) Write(p []byte) (int, error) {
	l.lines += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

func TestExportWritesAsItReads(t *testing.T) {
	const n = 20_000
	written, furthest := &lineCounter{}, 0
	records := func(yield func(store.Record, error) bool) {
		for i := range n {
			furthest = max(furthest, i-written.lines)
			if !yield(store.Record{JoinID: fmt.Sprint(i), Claims: map[string]any{}}, nil) {
				return
			}
		}
	}
	if _, err := exportJoins(written, records); err != nil || written.lines != n {
		t.Errorf("%d lines, %v", written.lines, err)
	}
	if furthest > 100 {
		t.Errorf("%d records were read and not written", furthest)
	}
}
