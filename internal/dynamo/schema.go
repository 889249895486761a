package dynamo

// Attributes of the tables' keys, all of them strings, and the one that
// DynamoDB's time to live goes by.
const (
	attrKind   = "kind"
	attrName   = "name"
	attrIssuer = "issuer"
	attrPK     = "pk"
	attrSK     = "sk"
	attrTTL    = "ttl"
)

// joinsTable is the field of Tables that may be empty.
const joinsTable = "Joins"

// Tables are the names of the three tables.
type Tables struct {
	// Resources holds what administrators apply: tokens, bots, roles, locks.
	Resources string
	// KeySets holds the public keys of issuers.
	KeySets string
	// Joins holds uses of ID tokens, records, leases and the certificates of X.509 authorities.
	Joins string
}

// Table is how a table has to be made. All attributes of keys are strings (S).
// There are no secondary indexes.
type Table struct {
	// Name is that of the field of Tables.
	Name string
	// Hash and Range are the key's attributes. Range may be empty.
	Hash, Range string
	// TTL is the attribute by which items expire; empty if none may.
	TTL string
}

// Schema returns the tables in the order of the fields of Tables.
func Schema() []Table {
	return []Table{
		{Name: "Resources", Hash: attrKind, Range: attrName},
		{Name: "KeySets", Hash: attrIssuer},
		{Name: joinsTable, Hash: attrPK, Range: attrSK, TTL: attrTTL},
	}
}

// Named returns what table t is called among names.
func (names Tables) Named(t Table) string {
	switch t.Name {
	case "Resources":
		return names.Resources
	case "KeySets":
		return names.KeySets
	case joinsTable:
		return names.Joins
	}
	return ""
}
