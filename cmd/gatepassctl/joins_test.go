package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func testCLI(out *bytes.Buffer) *cli {
	return &cli{getenv: func(string) string { return "" }, in: strings.NewReader(""), out: out, err: io.Discard, now: time.Now, format: "text"}
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
		Rule: &rule, MismatchesLeftOut: 4711, Lock: "the-lock", TTLSeconds: 754, TTLLimitedBy: "role:limits", Retry: true,
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
		"join_id": {"the-join"}, "time": {stamp(at)}, "code": {"the_code"}, "detail": {"the-detail"}, "token": {"the-token"}, "bot": {"the-bot"},
		"method": {"the-method"}, "source_addr": {"192.0.2.1"}, "client": {"the-version", "the-os", "the-arch"}, "id_token_sha256": {"the-id-token"},
		"digest": {"the-digest"}, "claims": {"claim", `{"nested":[12345678901234567890]}`}, "rule": {"allow[7]"}, "mismatches_left_out": {"4711 rules"},
		"lock": {"the-lock"}, "ttl_seconds": {"12m34s"}, "ttl_limited_by": {"role:limits"}, "retry": {"retry"},
		"mismatches":  {"allow[3]", "the_field", "the-want", "got-1, got-2", "lacking", "(absent)"},
		"credentials": {"the-name", "the-type", "the-usage", "the-serial", "the-subject", "principal-1", "principal-2", "role-1", "role-2", stamp(at.Add(time.Hour))},
	}
	var out bytes.Buffer
	testCLI(&out).printJoin(r)
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
	c := testCLI(&out)
	c.printJoin(r)
	c.printJoins([]store.Record{{Bot: nasty, Token: nasty}})
	c.printRevocations([]store.Revocation{{By: nasty, Reason: nasty, Bot: nasty, Token: nasty}})
	for _, control := range []string{"\x1b", "\x07", "\r", "\u202e", "\u0085"} {
		if strings.Contains(out.String(), control) {
			t.Errorf("%q is printed:\n%q", control, out.String())
		}
	}
}

// damagedData is a data directory with two records, the second of which cannot be decoded.
func damagedData(t *testing.T) (data string, good, bad string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	s, err := sqlite.Open(t.Context(), data, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 2)
	for i := range ids {
		ids[i] = ulid.Make().String()
		r := store.Record{JoinID: ids[i], Time: time.Now(), Code: store.CodeOK, Bot: "example", Claims: map[string]any{}}
		if err := s.Record(t.Context(), r, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(data, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE records SET body = CAST('{"join_id": 7' AS BLOB) WHERE join_id = ?`, ids[1]); err != nil {
		t.Fatal(err)
	}
	return data, ids[0], ids[1]
}

func TestADamagedRecordIsNamedAndTheOthersListed(t *testing.T) {
	data, good, bad := damagedData(t)
	file := filepath.Join(t.TempDir(), "records.jsonl")
	for _, args := range [][]string{{"joins", "ls"}, {"joins", "ls", "--format", "json"}, {"joins", "export"}, {"joins", "export", "-o", file}, {"revoke", "bot", "example", "--dry-run"}} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			exit := run(t.Context(), append(args, "--data", data), func(string) string { return "" }, strings.NewReader(""), &out, &errs)
			if exit != exitFailed || strings.Count(errs.String(), "the record "+bad+" is stored but not valid") != 1 || !strings.Contains(errs.String(), "error: 1 record could not be read") {
				t.Errorf("exit %d\n%s", exit, &errs)
			}
			if args[0] == "revoke" {
				return
			}
			content := out.String()
			if args[len(args)-1] == file {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				content = string(text)
			}
			if !strings.Contains(content, good) || strings.Contains(content, bad) {
				t.Errorf("got\n%s", content)
			}
		})
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

func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	must := func(content string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("it has %q, %v; want %q", got, err, content)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("in the folder: %v, %v", left, err)
		}
	}
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	for _, content := range []string{"one", "two"} {
		if err := replaceFile(path, 0o644, text(content)); err != nil {
			t.Fatal(err)
		}
		must(content)
	}
	broken := errors.New("broken")
	if err := replaceFile(path, 0o644, func(w io.Writer) error { return errors.Join(text("half")(w), broken) }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	must("two")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, 0o644, text("three")); err == nil {
		t.Error("a link was replaced")
	}
	must("two")
}
