// Package capacity tells how many joins a second a deployment on AWS takes, and what refuses
// more: quotas, what a join asks of each, and a simulation. docs/capacity.md has what it prints.
package capacity

// Quota is what AWS allows in a second before it refuses.
type Quota struct {
	Name string
	// Rate is in units a second; the unit is the quota's own.
	Rate float64
	// Join is how many units a join takes.
	Join float64
}

// Design is how a service is deployed.
type Design struct {
	Name string
	// Signatures of a join: one for each credential.
	Signatures int
	// Rules, Bots and Roles are how many there are that joins are spread over evenly.
	Rules, Bots, Roles int
	// Raised says that AWS raised the quotas that it raises. One partition of a table takes no more for that.
	Raised bool
	// Eventual reads bots, roles and key sets for half the units. Locks, token rules and uses protect something.
	Eventual bool
	// LockCopies is over how many partition keys the locks are spread, each with all of them; 1 today.
	LockCopies int
	// Stacks share the joins, each in a region or account of its own.
	Stacks int
}

// Units of DynamoDB that a join pays, as `make bench BENCH=lambda` shows by call.
const (
	readUnit   = 1 // a consistent read of up to 4 KB
	useUnits   = 1 // the use: an item below 1 KB
	recordUnit = 3 // the record: 2 to 3 KB
)

// AWS's limits of one partition, which nobody raises.
const (
	partitionReads  = 3000
	partitionWrites = 1000
	recordKeys      = 32 // partition keys that records are spread over
)

// Lambda runs as many joins at once; API Gateway lets as many through.
const (
	concurrency, concurrencyRaised = 1000, 100_000
	gateway, gatewayRaised         = 10_000, 200_000
	kmsECC, kmsRaised              = 1000, 20_000
	tableReads, tableWrites        = 40_000, 40_000
	tableRaised                    = 1_000_000
)

// quotas are those that a join of a design meets, by the name by which the simulation asks.
func (d Design) quotas() map[string]*Quota {
	pick := func(standing, raised float64) float64 {
		if d.Raised {
			return raised
		}
		return standing
	}
	once := 1.0
	if d.Eventual {
		once = 0.5
	}
	return map[string]*Quota{
		"api":     {"API Gateway: requests of the account", pick(gateway, gatewayRaised), 1},
		"lambda":  {"Lambda: requests of the account", 10 * float64(d.concurrency()), 1},
		"kms":     {"KMS: ECC signatures of the account", pick(kmsECC, kmsRaised), float64(d.Signatures)},
		"reads":   {"DynamoDB: reads of the table Resources", pick(tableReads, tableRaised), 2*readUnit + 2*once},
		"uses":    {"DynamoDB: reads of the table Joins", pick(tableReads, tableRaised), readUnit},
		"writes":  {"DynamoDB: writes of the table Joins", pick(tableWrites, tableRaised), useUnits + recordUnit},
		"rule":    {"DynamoDB: one token rule", partitionReads * float64(d.Rules), readUnit},
		"bot":     {"DynamoDB: one bot", partitionReads * float64(d.Bots), once},
		"role":    {"DynamoDB: one role", partitionReads * float64(d.Roles), once},
		"locks":   {"DynamoDB: the locks' partition", partitionReads * float64(d.LockCopies), readUnit},
		"records": {"DynamoDB: the records' partitions", partitionWrites * recordKeys, recordUnit},
	}
}

// concurrency is how many joins the function runs at once.
func (d Design) concurrency() int {
	if d.Raised {
		return concurrencyRaised
	}
	return concurrency
}

// The designs of docs/capacity.md. In each, a job asks for an SSH and a TLS certificate.
var (
	AsDeployed = Design{Name: "as deployed", Signatures: 2, Rules: 1, Bots: 1, Roles: 1, LockCopies: 1, Stacks: 1}
	ManyRules  = Design{Name: "quotas raised, 100 rules", Signatures: 2, Rules: 100, Bots: 100, Roles: 100, LockCopies: 1, Stacks: 1, Raised: true}
	Stacks4    = Design{Name: "4 such stacks", Signatures: 2, Rules: 100, Bots: 100, Roles: 100, LockCopies: 1, Stacks: 4, Raised: true}
	Stacks40   = Design{Name: "40 such stacks", Signatures: 2, Rules: 100, Bots: 100, Roles: 100, LockCopies: 1, Stacks: 40, Raised: true}
	Spread16   = Design{Name: "16 such stacks with what is not built", Signatures: 2, Rules: 100, Bots: 100, Roles: 100, LockCopies: 8, Eventual: true, Stacks: 16, Raised: true}
)
