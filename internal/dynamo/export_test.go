package dynamo

import "github.com/gatepass-ci/gatepass/pkg/rules"

// Tables returns the names of the store's tables.
func (s *Store) Tables() Tables { return s.tables }

// ResourceKey is the key of a resource's item.
func ResourceKey(kind, name string) item { return resourceKey{rules.Kind(kind), name}.item() }

// RecordKey is the key of a record's item.
func RecordKey(id string) item {
	key, err := recordKey(id)
	if err != nil {
		panic(err)
	}
	return key
}
