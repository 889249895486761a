package dynamo_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

type attributes = map[string]types.AttributeValue

func textValue(s string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: s} }
func numberValue(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

func joinsKey(pk, sk string) attributes { return attributes{"pk": textValue(pk), "sk": textValue(sk)} }

// rawItem reads an item behind the store's back.
func rawItem(t *testing.T, table string, key attributes) attributes {
	t.Helper()
	out, err := local.Client().GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// TestMalformedItems takes away each attribute that an item must have, and gives
// it another type: no call may then grant anything, say that there is no such
// item, or panic.
func TestMalformedItems(t *testing.T) {
	names := tables(t)
	s := open(t, names)
	claim := joinsKey("claim/token", "claim")
	certificate := joinsKey("certificate/x509-identity", "certificate")
	keySetKey := attributes{"issuer": textValue(issuer)}
	recordKey := dynamo.RecordKey(stored.JoinID)
	resourceKey := dynamo.ResourceKey("bot", "example")
	readers := map[string]struct {
		table      string
		key        attributes
		attributes []string // which make it malformed when they are missing
		optional   []string // which only do when they are of another type
		names      string   // what the error must name
		calls      []func() error
	}{
		"claim": {names.Joins, claim, []string{"join/first", "not_after/first", "answers/first"}, []string{"digests"}, "token", []func() error{
			func() error { _, err := s.Uses(t.Context(), "token"); return err },
			func() error { _, err := s.Use(t.Context(), use("first", 1)); return err },
			func() error { _, err := s.Use(t.Context(), use("second", 1)); return err },
		}},
		"certificate": {names.Joins, certificate, []string{"pem"}, nil, "x509-identity", []func() error{
			func() error { _, err := s.Certificate(t.Context(), cert.X509Identity, ""); return err },
			func() error { _, err := s.PutCertificate(t.Context(), cert.X509Identity, "", "other"); return err },
		}},
		"key set": {names.KeySets, keySetKey, []string{"pinned", "failure"}, []string{"jwks", "fetched_at", "tried_at"}, issuer, []func() error{
			func() error { _, err := s.KeySet(t.Context(), issuer); return err },
			func() error { _, err := s.KeySets(t.Context()); return err },
		}},
		"record": {names.Joins, recordKey, []string{"body"}, nil, stored.JoinID, []func() error{
			func() error { _, err := s.Join(t.Context(), stored.JoinID); return err },
			func() error {
				_, damaged, err := store.Gather(s.Joins(t.Context(), store.Query{}))
				return errors.Join(err, errors.Join(asErrors(damaged)...))
			},
		}},
		"rotated authority": {names.Resources, dynamo.ResourceKey("authority", "ssh-user"), []string{"body", "revision", "updated_at"}, nil, "ssh-user", []func() error{
			func() error { _, err := s.RotatedAuthorities(t.Context()); return err },
		}},
		"resource": {names.Resources, resourceKey, []string{"body", "revision", "updated_at"}, []string{"edited"}, "bot/example", []func() error{
			func() error { _, err := store.Bot(t.Context(), s, "example"); return err },
			func() error { _, err := s.List(t.Context(), rules.KindBot); return err },
		}},
	}
	wrong := map[string]types.AttributeValue{
		"null": &types.AttributeValueMemberNULL{Value: true}, "list": &types.AttributeValueMemberL{},
		"number set": &types.AttributeValueMemberNS{Value: []string{"1"}}, "fraction": numberValue("1.5"), "huge": numberValue("1e30"),
		"binary": &types.AttributeValueMemberB{Value: []byte("{}")},
	}
	for _, call := range calls {
		if call.name == "Write" || call.name == "Use" || call.name == "Record" || call.name == "PutKeySet" || call.name == "PutCertificate" || call.name == "PutRotatedAuthority" {
			if err := call.try(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range readers {
		whole := rawItem(t, c.table, c.key)
		damaged := map[string]attributes{}
		for _, attribute := range c.attributes {
			without := copyOf(whole)
			delete(without, attribute)
			damaged["without "+attribute] = without
		}
		for _, attribute := range slices.Concat(c.attributes, c.optional) {
			for kind, value := range wrong {
				other := copyOf(whole)
				other[attribute] = value
				damaged[attribute+" as "+kind] = other
			}
		}
		for how, item := range damaged {
			t.Run(name+" "+how, func(t *testing.T) {
				if _, err := local.Client().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &c.table, Item: item}); err != nil {
					t.Fatal(err)
				}
				for i, call := range c.calls {
					err := call()
					if err == nil || isAnswer(err) {
						t.Errorf("call %d: got %v, want an error about the item", i, err)
					} else if !strings.Contains(err.Error(), c.names) {
						t.Errorf("call %d: %q does not name the item", i, err)
					}
				}
			})
		}
		if _, err := local.Client().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &c.table, Item: whole}); err != nil {
			t.Fatal(err)
		}
	}
}

func copyOf(a attributes) attributes {
	c := attributes{}
	for name, value := range a {
		c[name] = value
	}
	return c
}

// TestMisplacedItems has a valid body under another's key.
func TestMisplacedItems(t *testing.T) {
	names := tables(t)
	s := open(t, names)
	if err := s.Write(t.Context(), create(bot("example"), bot("other"), role("example"))); err != nil {
		t.Fatal(err)
	}
	for _, key := range []attributes{dynamo.ResourceKey("bot", "other"), dynamo.ResourceKey("role", "example")} {
		item := rawItem(t, names.Resources, key)
		item["body"] = rawItem(t, names.Resources, dynamo.ResourceKey("bot", "example"))["body"]
		if _, err := local.Client().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &names.Resources, Item: item}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Bot(t.Context(), s, "other"); err == nil || !strings.Contains(err.Error(), "bot/other") {
		t.Errorf("bot/other: %v", err)
	}
	if _, err := store.Roles(t.Context(), s, []string{"example"}); err == nil || !strings.Contains(err.Error(), "role/example") {
		t.Errorf("role/example: %v", err)
	}
}

// TestIssuersOfDamagedTokens must not keep the others' keys from being refreshed.
func TestIssuersOfDamagedTokens(t *testing.T) {
	names := tables(t)
	s := open(t, names)
	token := func(name, issuer string) *rules.TokenRule {
		return &rules.TokenRule{Metadata: rules.Metadata{Name: name}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "example", MaxJoins: 1, MaxTokenAge: time.Hour,
			Sections: rules.Sections{"circleci": {
				Settings: provider.Values{{Name: "organization_id", Value: "00000000-0000-0000-0000-000000000001"}, {Name: "issuer", Value: issuer}},
				Allow:    []provider.Values{{{Name: "project_id", Value: "00000000-0000-0000-0000-000000000002"}}},
			}}}
	}
	if err := s.Write(t.Context(), create(token("body", "https://a.example"), token("issuer", "https://b.example"),
		token("none", "https://c.example"), token("whole", "https://d.example"))); err != nil {
		t.Fatal(err)
	}
	update(t, names.Resources, dynamo.ResourceKey("token", "body"), "SET body = :v", textValue("{"))
	update(t, names.Resources, dynamo.ResourceKey("token", "issuer"), "SET issuer = :v", numberValue("1"))
	update(t, names.Resources, dynamo.ResourceKey("token", "none"), "REMOVE issuer", nil)
	got, err := s.Issuers(t.Context())
	if want := []string{"https://a.example", "https://d.example"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("issuers are %q, %v; want %q", got, err, want)
	}
}

// TestTimeToLive is what DynamoDB deletes by: never a rule, and nothing too early.
func TestTimeToLive(t *testing.T) {
	names := tables(t)
	s := open(t, names)
	for _, call := range calls {
		if call.name == "Write" || call.name == "PutKeySet" || call.name == "PutCertificate" || call.name == "PutRotatedAuthority" {
			if err := call.try(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	const odd = 123456789 * time.Nanosecond
	u := use("first", 5)
	u.KeepUntil = base.Add(time.Hour + odd)
	if _, err := s.Use(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lease(t.Context(), "refresh", base, base.Add(time.Minute+odd)); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), stored, base.Add(90*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	is := func(what, table string, key attributes, want time.Time) {
		t.Helper()
		got, has := rawItem(t, table, key)["ttl"].(*types.AttributeValueMemberN)
		switch {
		case want.IsZero() && has:
			t.Errorf("a %s expires", what)
		case !want.IsZero() && (!has || got.Value != fmt.Sprint(want.Unix())):
			t.Errorf("a %s expires at %v, want %d", what, got, want.Unix())
		}
	}
	never := time.Time{}
	claim := joinsKey("claim/token", "claim")
	is("resource", names.Resources, dynamo.ResourceKey("bot", "example"), never)
	is("key set", names.KeySets, attributes{"issuer": textValue(issuer)}, never)
	is("certificate", names.Joins, joinsKey("certificate/x509-identity", "certificate"), never)
	is("lease", names.Joins, joinsKey("lease/refresh", "lease"), base.Add(time.Minute+time.Second))
	is("record", names.Joins, dynamo.RecordKey(stored.JoinID), base.Add(90*24*time.Hour))
	is("claim", names.Joins, claim, base.Add(time.Hour+time.Second))

	for _, next := range []struct {
		digest     string
		keep, want time.Duration
	}{
		{"first", 5 * time.Hour, time.Hour + time.Second}, // a retry changes nothing
		{"second", time.Minute, time.Hour + time.Second},  // never earlier
		{"third", 2 * time.Hour, 2 * time.Hour},           // later
		{"fourth", 2 * time.Hour, 2 * time.Hour},          // the same
		{"fifth", 3 * time.Hour, 3 * time.Hour},
		{"sixth", 4 * time.Hour, 3 * time.Hour}, // has no use left
	} {
		u := use(next.digest, 5)
		u.KeepUntil = base.Add(next.keep)
		if _, err := s.Use(t.Context(), u); (err != nil) != (next.digest == "sixth") {
			t.Fatalf("%s: %v", next.digest, err)
		}
		is("claim after the use "+next.digest, names.Joins, claim, base.Add(next.want))
	}
}

// TestCertificateRace has many cold starts make a certificate at once.
func TestCertificateRace(t *testing.T) {
	names := tables(t)
	const starts = 20
	got := make(chan string, starts)
	for i := range starts {
		s := open(t, names)
		go func() {
			pem, err := s.PutCertificate(t.Context(), cert.X509Database, "", fmt.Sprintf("certificate %d", i))
			if err != nil {
				pem = err.Error()
			}
			got <- pem
		}()
	}
	winners := map[string]bool{}
	for range starts {
		winners[<-got] = true
	}
	s := open(t, names)
	stored, err := s.Certificate(t.Context(), cert.X509Database, "")
	if err != nil || len(winners) != 1 || !winners[stored] {
		t.Errorf("starts got %v, and stored is %q, %v", winners, stored, err)
	}
	if _, err := s.Certificate(t.Context(), cert.X509Identity, ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the certificate of another authority: %v, want store.ErrNotFound", err)
	}
}

// TestSchemaIsDocumented compares Schema with the first table of docs/storage.md.
func TestSchemaIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/storage.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range dynamo.Schema() {
		sort, expires := "", "never"
		if table.Range != "" {
			sort = fmt.Sprintf("`%s` (S)", table.Range)
		}
		if table.TTL != "" {
			expires = fmt.Sprintf("`%s` (N)", table.TTL)
		}
		want := strings.ReplaceAll(fmt.Sprintf("| %s | `%s` (S) | %s | %s |", table.Name, table.Hash, sort, expires), "|  |", "| |")
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/storage.md lacks %q", want)
		}
	}
}

func TestNewChecks(t *testing.T) {
	if _, err := dynamo.New(dynamo.Config{Tables: dynamo.Tables{Resources: "r", KeySets: "k", Joins: "j"}}); err == nil {
		t.Error("a store without a client")
	}
	client := dynamo.NewClient(aws.Config{})
	for _, names := range []dynamo.Tables{{}, {KeySets: "k", Joins: "j"}, {Resources: "r", Joins: "j"}} {
		if _, err := dynamo.New(dynamo.Config{Client: client, Tables: names}); err == nil {
			t.Errorf("a store of the tables %+v", names)
		}
	}
}

// TestNoJoinsTable is how a function that has no business there uses a store.
func TestNoJoinsTable(t *testing.T) {
	names := tables(t)
	names.Joins = ""
	s := open(t, names)
	for _, c := range calls {
		err := c.try(t.Context(), s)
		switch c.name {
		case "Use", "Uses", "Lease", "Record", "Join", "Joins", "PutCertificate", "Certificate":
			if err == nil || isAnswer(err) {
				t.Errorf("%s: got %v, want an error of the store's", c.name, err)
			}
		default:
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// TestLargestWrites goes to the limits of a transaction.
func TestLargestWrites(t *testing.T) {
	s := open(t, tables(t))
	large := func(i, allow int) rules.Resource {
		section := provider.Section{Settings: provider.Values{{Name: "organization_id", Value: "00000000-0000-0000-0000-000000000001"}}}
		for range allow {
			section.Allow = append(section.Allow, provider.Values{
				{Name: "project_id", Value: "00000000-0000-0000-0000-000000000002"}, {Name: "vcs_origin", Value: "github.com/acme/" + strings.Repeat("x", 100)}})
		}
		return &rules.TokenRule{Metadata: rules.Metadata{Name: fmt.Sprintf("token-%d", i)}, Roles: []string{"Bot"}, JoinMethod: "circleci", BotName: "example",
			MaxJoins: 1, MaxTokenAge: time.Hour, Sections: rules.Sections{"circleci": section}}
	}
	encoded, err := rules.Encode(large(0, 1000))
	if err != nil {
		t.Fatal(err)
	}
	var most []rules.Resource
	for i := range dynamo.MaxBodies / (len(encoded) + 2) {
		most = append(most, large(i, 1000))
	}
	if err := s.Write(t.Context(), create(most...)); err != nil {
		t.Errorf("%d resources of %d bytes: %v", len(most), len(encoded), err)
	}
	tooMany := append(most, large(len(most), 1000))
	err = s.Write(t.Context(), create(tooMany...))
	if err == nil || !strings.Contains(err.Error(), "at once") {
		t.Errorf("%d resources of %d bytes: %v", len(tooMany), len(encoded), err)
	}
}

// TestKeptLongerMeanwhile has another use ask for still longer between the two
// calls of one that asks for longer.
func TestKeptLongerMeanwhile(t *testing.T) {
	t.Parallel()
	s, direct, proxy := behindProxy(t)
	at := func(digest string, hours int) store.Use {
		u := use(digest, 5)
		u.KeepUntil = base.Add(time.Duration(hours) * time.Hour)
		return u
	}
	if _, err := direct.Use(t.Context(), at("first", 1)); err != nil {
		t.Fatal(err)
	}
	calls := 0
	proxy.Set(func(r awstest.Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		if r.Operation != "UpdateItem" { // the record
			forward(w)
			return
		}
		if calls++; calls == 2 {
			if _, err := direct.Use(t.Context(), at("third", 9)); err != nil {
				t.Error(err)
			}
		}
		forward(w)
	})
	if _, err := s.Use(t.Context(), at("second", 5)); err != nil {
		t.Fatal(err)
	}
	if calls != 3 {
		t.Errorf("%d calls, want 3: short, shorter than meanwhile, long enough", calls)
	}
	ttl, _ := rawItem(t, s.Tables().Joins, joinsKey("claim/token", "claim"))["ttl"].(*types.AttributeValueMemberN)
	if want := fmt.Sprint(at("", 9).KeepUntil.Unix()); ttl == nil || ttl.Value != want {
		t.Errorf("the uses are kept until %v, want %s", ttl, want)
	}
	if uses, err := direct.Uses(t.Context(), "token"); err != nil || len(uses) != 3 {
		t.Errorf("the uses are %v, %v; want 3 uses", uses, err)
	}
}

// TestImpossibleNames asks for resources whose names DynamoDB refuses to look for.
func TestImpossibleNames(t *testing.T) {
	s := open(t, tables(t))
	if err := s.Write(t.Context(), create(role("deployer"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", strings.Repeat("a", 1025), strings.Repeat("a", 16<<10)} {
		if _, err := store.Token(t.Context(), s, name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a token with a name of %d bytes: %v, want store.ErrNotFound", len(name), err)
		}
		if roles, err := store.Roles(t.Context(), s, []string{name, "deployer"}); err != nil || len(roles) != 1 {
			t.Errorf("a role with a name of %d bytes: %d roles, %v; want the other", len(name), len(roles), err)
		}
	}
	if stored, err := s.Get(t.Context(), "", "deployer"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no kind: %v, %v; want store.ErrNotFound", stored, err)
	}
}

func asErrors[T error](all []T) []error {
	errs := make([]error, len(all))
	for i, err := range all {
		errs[i] = err
	}
	return errs
}

// An item that does not exist costs the decoding of one that does.
func TestTheStandInIsDecodedWhole(t *testing.T) {
	if resource, err := dynamo.DecodeStandIn(); err != nil || resource.Kind() != rules.KindToken {
		t.Errorf("got %v, %v", resource, err)
	}
}
