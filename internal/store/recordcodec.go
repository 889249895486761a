package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// EncodeRecord writes a record as stores keep it: JSON of at most MaxRecordBytes, with its
// times in UTC. One that would be larger is shortened, and says so. r is not changed.
func EncodeRecord(r Record) ([]byte, error) {
	r.Time = r.Time.UTC()
	r.Credentials = slices.Clone(r.Credentials)
	for i := range r.Credentials {
		r.Credentials[i].ExpiresAt = r.Credentials[i].ExpiresAt.UTC()
	}
	body, err := encode(r)
	if err != nil || len(body) <= MaxRecordBytes {
		return body, err
	}
	if body, err = encode(r.Fit()); err == nil && len(body) > MaxRecordBytes {
		err = fmt.Errorf("the record %s takes more than %d bytes", r.JoinID, MaxRecordBytes)
	}
	return body, err
}

// DecodeRecord reads what EncodeRecord wrote and was stored under a join id. Its error
// is a *DamagedError. Numbers among the claims become json.Number, which keeps their
// every digit. Unknown fields are passed over: a newer version may have written the
// record.
func DecodeRecord(joinID string, body []byte) (Record, error) {
	r, err := decodeRecord(body)
	if err == nil && r.JoinID != joinID {
		err = fmt.Errorf("it holds the record %q", r.JoinID)
	}
	if err != nil {
		return Record{}, &DamagedError{JoinID: joinID, Err: err}
	}
	return r, nil
}

func decodeRecord(body []byte) (Record, error) {
	var r Record
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&r); err != nil {
		return Record{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Record{}, errors.New("data after its end")
	}
	return r, nil
}
