package test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// madeByLambda are the statements whose calls the function itself does not make, by Sid.
var madeByLambda = map[string]string{
	"Log": "Lambda writes the function's log, with the function's role; an emulator prints it",
}

// Every call that a function, or gatepassctl, made is allowed by the role, and by the
// key's policy where it is about one.
func (d *deployment) testAllowed(t *testing.T) {
	keys := d.keyPolicies(t.Context(), t)
	if len(keys) != 7 {
		t.Errorf("%d keys have policies", len(keys))
	}
	for caller, role := range map[string]string{callerJoin: d.roles[callerJoin], callerRefresh: d.roles[callerRefresh], callerAdmin: ""} {
		policies := d.policiesOf(t, caller)
		calls := d.recorders[caller].recorded(t)
		if len(calls) < 3 {
			t.Errorf("%s called AWS %d times", caller, len(calls))
		}
		for _, c := range calls {
			if !allows(t, policies, c) {
				t.Errorf("%s may not make its call %s", caller, c)
			}
			if !strings.HasPrefix(c.Action, "kms:") || c.Resource == "*" {
				continue
			}
			if keys[c.Resource] == nil {
				keys[c.Resource] = d.keyPolicy(t, c.Resource)
			}
			if !keyAllows(t, keys[c.Resource], role, c) {
				t.Errorf("the key's policy does not let %s make its call %s", caller, c)
			}
		}
	}
}

func (d *deployment) policiesOf(t *testing.T, caller string) []statement {
	t.Helper()
	if caller == callerAdmin {
		return d.managedPolicy(t.Context(), t, d.outputs["AdministratorPolicy"])
	}
	return d.policies(t.Context(), t, caller)
}

// Nothing is allowed that no call needs.
func (d *deployment) testUsed(t *testing.T) {
	for _, caller := range []string{callerJoin, callerRefresh, callerAdmin} {
		policies := slices.DeleteFunc(d.policiesOf(t, caller), func(s statement) bool { return madeByLambda[s.Sid] != "" })
		if len(policies) < 2 {
			t.Errorf("%s has %d statements", caller, len(policies))
		}
		for _, grant := range unused(t, policies, d.recorders[caller].recorded(t)) {
			t.Errorf("%s never needs %s", caller, grant)
		}
	}
}

// With moto enforcing the roles' policies (internal/awstest/moto_stack.py says what it
// evaluates): both functions do their work, and what a thief of a role's credentials
// would want is refused. What stays untested here is the keys' own policies, which
// moto does not look at: testAllowed and TestTemplateKeyPolicies hold them.
func (d *deployment) testEnforced(t *testing.T) {
	joins, refreshes := d.assume(t, callerJoin), d.assume(t, callerRefresh)
	d.enforce(t, "0")
	defer d.enforce(t, "inf")

	f := &joinFunction{lambdaWorld: &lambdaWorld{t: t, issuer: d.issuer, functionLimit: d.functionLimit}}
	f.emulator = f.start(bootstrap(t, "join"), as(t, d.joinEnv, joins))
	checkGranted(t, f.granted(f.bitbucket(issuertest.BitbucketJob{})))
	refresh := f.start(bootstrap(t, "jwks-refresh"), as(t, d.refreshEnv, refreshes))
	if answer, err := refresh.Invoke(t.Context(), []byte(`{}`)); err != nil {
		t.Errorf("jwks-refresh: %s, %v", answer, err)
	}

	for caller, provider := range map[string]awssdk.CredentialsProvider{callerJoin: joins, callerRefresh: refreshes} {
		for what, call := range d.forbidden(d.config(provider), caller) {
			t.Run(caller+" "+what, func(t *testing.T) {
				if err := call(t.Context()); !denied(err) {
					t.Errorf("it was not refused: %v", err)
				}
			})
		}
	}
}

// forbidden are calls that a role must not be able to make.
func (d *deployment) forbidden(config awssdk.Config, caller string) map[string]func(context.Context) error {
	db, keys := dynamodb.NewFromConfig(config), awskms.NewFromConfig(config)
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	rule := map[string]types.AttributeValue{"kind": text("token"), "name": text("stolen"), "body": text("{}")}
	put := func(table string, item map[string]types.AttributeValue) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: item})
			return err
		}
	}
	sign := func(key string, kind kmstypes.MessageType) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := keys.Sign(ctx, &awskms.SignInput{KeyId: &key, Message: make([]byte, 32), MessageType: kind, SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256})
			return err
		}
	}
	calls := map[string]func(context.Context) error{
		"writes a rule": put(d.tables.Resources, rule),
		"writes a rule in a transaction": func(ctx context.Context) error {
			_, err := db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Put: &types.Put{TableName: &d.tables.Resources, Item: rule}}}})
			return err
		},
		"removes a lock": func(ctx context.Context) error {
			_, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &d.tables.Resources, Key: map[string]types.AttributeValue{"kind": text("lock"), "name": text("stop")}})
			return err
		},
		"forgets a claim": func(ctx context.Context) error {
			_, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &d.tables.Joins, Key: map[string]types.AttributeValue{"pk": text("claim/x"), "sk": text("claim")}})
			return err
		},
		"signs a host's certificate":                    sign(d.outputs["KeySshHost"], kmstypes.MessageTypeDigest),
		"signs a host's certificate with a rotated key": sign(d.rotatedHost, kmstypes.MessageTypeDigest),
		"signs with a key of another stack":             sign(d.foreignKey, kmstypes.MessageTypeDigest),
		"makes a key": func(ctx context.Context) error {
			_, err := keys.CreateKey(ctx, &awskms.CreateKeyInput{})
			return err
		},
		"schedules a key's deletion": func(ctx context.Context) error {
			_, err := keys.ScheduleKeyDeletion(ctx, &awskms.ScheduleKeyDeletionInput{KeyId: awssdk.String(d.outputs["KeySshUser"])})
			return err
		},
		"changes a key's policy": func(ctx context.Context) error {
			_, err := keys.PutKeyPolicy(ctx, &awskms.PutKeyPolicyInput{KeyId: awssdk.String(d.outputs["KeySshUser"]), Policy: awssdk.String(`{"Version":"2012-10-17","Statement":[]}`)})
			return err
		},
	}
	switch caller {
	case callerJoin:
		calls["writes a key set"] = put(d.tables.KeySets, map[string]types.AttributeValue{"issuer": text(d.issuer.BitbucketURL())})
		calls["replaces a claim"] = put(d.tables.Joins, map[string]types.AttributeValue{"pk": text("claim/x"), "sk": text("claim")})
		calls["signs a message of its own choice"] = sign(d.outputs["KeySshUser"], kmstypes.MessageTypeRaw)
	case callerRefresh:
		calls["signs"] = sign(d.outputs["KeySshUser"], kmstypes.MessageTypeDigest)
		calls["reads a bot"] = func(ctx context.Context) error {
			_, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &d.tables.Resources, Key: map[string]types.AttributeValue{"kind": text("bot"), "name": text("example")}})
			return err
		}
		calls["writes a record"] = put(d.tables.Joins, map[string]types.AttributeValue{"pk": text("record/0"), "sk": text("x")})
	}
	return calls
}

// denied tells whether AWS refused a call for want of a right.
func denied(err error) bool {
	answer, ok := errors.AsType[smithy.APIError](err)
	return ok && answer.ErrorCode() == "AccessDeniedException" && strings.Contains(answer.ErrorMessage(), "is not authorized to perform")
}

// assume returns credentials of a function's role, which moto gives to anybody as
// long as it enforces nothing; TestTemplateRolesAreAssumedBy holds who may have them.
func (d *deployment) assume(t *testing.T, caller string) awssdk.CredentialsProvider {
	t.Helper()
	out, err := sts.NewFromConfig(d.admin()).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: awssdk.String(d.roles[caller]), RoleSessionName: awssdk.String("test"),
	})
	must(t, err)
	c := out.Credentials
	return credentials.NewStaticCredentialsProvider(awssdk.ToString(c.AccessKeyId), awssdk.ToString(c.SecretAccessKey), awssdk.ToString(c.SessionToken))
}

// as is a function's environment with credentials of its role, past the recorder of
// what it did before.
func as(t *testing.T, env map[string]string, provider awssdk.CredentialsProvider) map[string]string {
	t.Helper()
	c, err := provider.Retrieve(t.Context())
	must(t, err)
	env = maps.Clone(env)
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"] = c.AccessKeyID, c.SecretAccessKey, c.SessionToken
	return env
}

// enforce makes moto enforce policies after so many calls.
func (d *deployment) enforce(t *testing.T, after string) {
	t.Helper()
	resp, err := http.Post(d.moto.URL()+"/moto-api/reset-auth", "text/plain", strings.NewReader(after))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("moto answered %s", resp.Status)
	}
}

// adminQuery asks for the newest records.
func adminQuery(limit int) store.Query { return store.Query{Limit: limit} }
