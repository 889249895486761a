package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MaxRecordBytes bounds a record as encoded, whatever a job wrote into its claims and
// however many rules there are. An item of DynamoDB takes 400 KB, and its writes are
// paid by the KB.
const MaxRecordBytes = 64 << 10

// What the parts of a record may take of MaxRecordBytes, as encoded, once it is too large.
const (
	maxMismatchBytes   = 20 << 10
	maxClaimBytes      = 20 << 10
	maxCredentialBytes = 16 << 10
	// maxCutText is how much is kept of a text that does not fit, in bytes as encoded.
	maxCutText = 256
)

// encode is JSON in which <, > and & take one byte, where json.Marshal writes six.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// size is how many bytes v takes as encoded.
func size(v any) int {
	body, err := encode(v)
	if err != nil { // what cannot be encoded never fits; the caller's own encoding tells why
		return MaxRecordBytes + 1
	}
	return len(body)
}

// Fit returns the record, shortened part by part until it takes at most MaxRecordBytes as
// encoded. What it cuts says so, and is counted. r is not changed.
func (r Record) Fit() Record {
	r.Credentials = slices.Clone(r.Credentials)
	for _, shorten := range []func(*Record){(*Record).fitMismatches, (*Record).fitClaims, (*Record).fitCredentials, (*Record).fitTexts} {
		if size(r) <= MaxRecordBytes {
			break
		}
		shorten(&r)
	}
	return r
}

// fitMismatches keeps the first rules that fit, each with what can be kept of its values.
func (r *Record) fitMismatches() {
	left, all := maxMismatchBytes, r.Mismatches
	r.Mismatches = nil
	for i, m := range all {
		if size(m) > maxMismatchBytes/2 {
			m.Fields = slices.Clone(m.Fields)
			for j := range m.Fields {
				f := &m.Fields[j]
				f.Want = r.text(f.Want)
				f.Got = r.list(f.Got)
			}
		}
		if left -= size(m) + 1; left < 0 {
			r.MismatchesLeftOut += len(all) - i
			return
		}
		r.Mismatches = append(r.Mismatches, m)
	}
}

// fitClaims keeps the smallest claims whole. Of a larger one it keeps the beginning, as
// a text, or nothing if not even that fits.
func (r *Record) fitClaims() {
	sizes := make(map[string]int, len(r.Claims))
	for name, value := range r.Claims {
		sizes[name] = size(name) + size(value) + 2
	}
	smallestFirst := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[a], sizes[b]), strings.Compare(a, b))
	})
	left, kept := maxClaimBytes, make(map[string]any, len(sizes))
	for _, name := range smallestFirst {
		value := r.Claims[name]
		if sizes[name] > left {
			r.ClaimsCut++
			text, isText := value.(string)
			if !isText {
				body, _ := encode(value)
				text = string(body)
			}
			value = cut(text)
			if sizes[name] = size(name) + size(value) + 2; sizes[name] > left {
				continue
			}
		}
		left -= sizes[name]
		kept[name] = value
	}
	r.Claims = kept
}

// fitCredentials cuts the lists and texts of credentials, never what tells one from
// another: its serial.
func (r *Record) fitCredentials() {
	share := maxCredentialBytes / max(1, len(r.Credentials))
	for i := range r.Credentials { // Fit made this slice
		c := &r.Credentials[i]
		if size(c) <= share {
			continue
		}
		c.Name, c.Subject = r.text(c.Name), r.text(c.Subject)
		c.Principals, c.Roles = r.list(c.Principals), r.list(c.Roles)
	}
}

// fitTexts cuts the texts that are nobody's claims. The service bounds each of them; a
// record that is still too large was not made by it.
func (r *Record) fitTexts() {
	for _, text := range []*string{&r.Detail, &r.Token, &r.Bot, &r.Method, &r.SourceAddr, &r.Lock, &r.TTLLimitedBy} {
		*text = r.text(*text)
	}
	if r.Client != nil {
		client := *r.Client
		client.Version, client.OS, client.Arch = r.text(client.Version), r.text(client.OS), r.text(client.Arch)
		r.Client = &client
	}
}

// text cuts one text, and counts that it did.
func (r *Record) text(s string) string {
	short := cut(s)
	if short != s {
		r.ValuesCut++
	}
	return short
}

// maxCutList is how many values are kept of a list that does not fit.
const maxCutList = 4

// list cuts one list, and counts what is missing of it.
func (r *Record) list(all []string) []string {
	kept := make([]string, 0, maxCutList)
	for _, s := range all[:min(len(all), maxCutList)] {
		kept = append(kept, r.text(s))
	}
	r.ValuesCut += len(all) - len(kept)
	return kept
}

// cut is the beginning of a text that takes more than maxCutText bytes as encoded, with
// a note of how long the whole is.
func cut(s string) string {
	if len(s) <= maxCutText && size(s) <= maxCutText {
		return s
	}
	end := 0
	for i, left := 0, maxCutText; i < len(s); {
		next := i + 1
		for next < len(s) && s[next]&0xc0 == 0x80 { // the rest of a UTF-8 sequence
			next++
		}
		if left -= size(s[i:next]) - len(`""`); left < 0 {
			break
		}
		end, i = next, next
	}
	return fmt.Sprintf("%s… (cut, %d bytes)", s[:end], len(s))
}
