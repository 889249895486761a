package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/internal/store"
)

func TestRecordCodec(t *testing.T) {
	zone := time.FixedZone("", 7200)
	at := time.Date(2026, 1, 1, 2, 0, 0, 123456789, zone)
	given := store.Record{
		JoinID: "01J", Time: at, Claims: map[string]any{"exp": json.Number("9007199254740993")},
		Credentials: []store.RecordCredential{{Name: "ssh", ExpiresAt: at}},
	}
	body, err := store.EncodeRecord(given)
	if err != nil {
		t.Fatal(err)
	}
	if given.Credentials[0].ExpiresAt.Location() != zone {
		t.Error("EncodeRecord changed the record that it was given")
	}
	got, err := store.DecodeRecord("01J", body)
	if err != nil {
		t.Fatal(err)
	}
	if got.Time.Location() != time.UTC || got.Credentials[0].ExpiresAt.Location() != time.UTC {
		t.Errorf("times are not in UTC: %s", body)
	}
	if diff := cmp.Diff(given, got); diff != "" {
		t.Errorf("came back different (-given +got):\n%s", diff)
	}
}

func TestDecodeRecordFails(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":              "",
		"cut off":              `{"join_id": "01J"`,
		"another type":         `{"join_id": 7}`,
		"an array":             `[]`,
		"of another join":      `{"join_id": "01K"}`,
		"a time that is none":  `{"time": "yesterday"}`,
		"another record after": `{"join_id": "01J"}{"join_id": "01K"}`,
		"a bracket after":      `{"join_id": "01J"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := store.DecodeRecord("01J", []byte(body)); err == nil {
				t.Errorf("decoded %q to %+v", body, r)
			}
		})
	}
	if _, err := store.DecodeRecord("01J", []byte(" {\"join_id\": \"01J\", \"of_a_newer_version\": 1}\n")); err != nil {
		t.Errorf("a field of a newer version: %v", err)
	}
}
