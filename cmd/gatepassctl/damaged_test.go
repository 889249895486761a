package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/oklog/ulid/v2"
)

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
			exit := runIn(t.Context(), append(args, "--data", data), func(string) string { return "" }, strings.NewReader(""), &out, &errs)
			if exit != cli.ExitFailed || strings.Count(errs.String(), "the record "+bad+" is stored but not valid") != 1 || !strings.Contains(errs.String(), "error: 1 record could not be read") {
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
