package admin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// memory is a store in memory that keeps what it was told to write.
type memory struct {
	store.Resources // nil: nothing else is called

	stored   map[string]store.Stored
	writes   [][]store.Change
	lists    int
	revision int
	// beforeWrite is what someone else does just before the nth Write, from 1.
	beforeWrite func(n int, m *memory) error
	invalid     []*store.InvalidError
	broken      error
}

func (m *memory) Get(_ context.Context, kind rules.Kind, name string) (store.Stored, error) {
	if s, ok := m.stored[string(kind)+"/"+name]; ok {
		return s, nil
	}
	return store.Stored{}, store.ErrNotFound
}

func (m *memory) List(_ context.Context, kind rules.Kind) ([]store.Stored, error) {
	m.lists++
	var all []store.Stored
	for _, s := range m.stored {
		if s.Resource.Kind() == kind {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b store.Stored) int { return strings.Compare(a.Resource.Name(), b.Resource.Name()) })
	var invalid []error
	for _, e := range m.invalid {
		if e.Kind == kind {
			invalid = append(invalid, e)
		}
	}
	if m.broken != nil {
		invalid = append(invalid, m.broken)
	}
	return all, errors.Join(invalid...)
}

func (m *memory) Write(_ context.Context, changes []store.Change) error {
	m.writes = append(m.writes, changes)
	if m.beforeWrite != nil {
		if err := m.beforeWrite(len(m.writes), m); err != nil {
			return err
		}
	}
	size := 0
	for _, c := range changes {
		if m.stored[string(c.Kind)+"/"+c.Name].Revision != c.Revision {
			return &store.ConflictError{Kind: c.Kind, Name: c.Name}
		}
		if c.Resource != nil {
			encoded, err := rules.Encode(c.Resource)
			if err != nil {
				return err
			}
			size += len(encoded)
		}
	}
	if len(changes) == 0 || len(changes) > store.MaxChanges || size > store.MaxBytes {
		return fmt.Errorf("%d changes with %d bytes", len(changes), size)
	}
	for _, c := range changes {
		m.put(c.Kind, c.Name, c.Resource, c.At, c.Edited)
	}
	return nil
}

func (m *memory) put(kind rules.Kind, name string, r rules.Resource, at time.Time, edited bool) {
	if m.stored == nil {
		m.stored = map[string]store.Stored{}
	}
	key := string(kind) + "/" + name
	if r == nil {
		delete(m.stored, key)
		return
	}
	m.revision++
	m.stored[key] = store.Stored{Resource: r, Revision: fmt.Sprint(m.revision), UpdatedAt: at, Edited: edited}
}

// holding is a store with the resources of some text in it.
func holding(t testing.TB, text string) *memory {
	m := &memory{}
	for _, r := range parse(t, text) {
		m.put(r.Kind(), r.Name(), r, noon.Add(-time.Hour), false)
	}
	return m
}

// parse reads resources as files have them; bot, token and role begin one each,
// such as "bot example: {roles: [deployer]}".
func parse(t testing.TB, text string) []rules.Resource {
	t.Helper()
	versions := map[string]string{"bot": "v1", "token": "v2", "role": "v7", "lock": "v2"}
	var all []rules.Resource
	for line := range strings.Lines(text) {
		head, spec, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		words := strings.SplitN(head, " ", 3)
		labels := ""
		if len(words) == 3 {
			labels = ", labels: {" + strings.ReplaceAll(words[2], "=", ": ") + "}"
		}
		if words[0] == "token" {
			spec = fmt.Sprintf(`{roles: [Bot], join_method: circleci, bot_name: %s, circleci: {
  organization_id: 00000000-0000-0000-0000-000000000001, allow: [{project_id: 00000000-0000-0000-0000-000000000003}]}}`, spec)
		}
		document := fmt.Sprintf("kind: %s\nversion: %s\nmetadata: {name: %s%s}\nspec: %s\n", words[0], versions[words[0]], words[1], labels, spec)
		documents, _, err := rules.Parse(head, []byte(document))
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		all = append(all, documents[0].Resource)
	}
	return all
}

// told writes steps as people read them.
func told(steps []admin.Step) string {
	words := make([]string, len(steps))
	for i, s := range steps {
		words[i] = string(s.Action) + " " + s.ID()
		if s.Undoes() {
			words[i] += "!"
		}
	}
	return strings.Join(words, ", ")
}

func read(t *testing.T, m *memory) admin.State {
	t.Helper()
	state, err := admin.Read(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return state
}
