package test

import (
	"encoding/json"
	"slices"
	"testing"
)

// What the other tests of privilege rely on: an evaluator that allows too much shows nothing.
func TestPolicyEvaluation(t *testing.T) {
	policy := statements(t, json.RawMessage(`{"Statement": [
		{"Sid": "Read", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "arn:table/a",
		 "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["claim/*", "record/?"]}}},
		{"Sid": "Sign", "Effect": "Allow", "Action": "kms:Sign", "Resource": ["arn:key/1", "arn:key/2"],
		 "Condition": {"StringEquals": {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ES"}}},
		{"Sid": "Make", "Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*",
		 "Condition": {"StringEqualsIfExists": {"kms:KeySpec": "P256"}, "StringEquals": {"aws:RequestTag/stack": "s"}, "Null": {"kms:ResourceAliases": "true"}}},
		{"Sid": "List", "Effect": "Allow", "Action": ["kms:List*"], "Resource": "*"},
		{"Sid": "Never", "Effect": "Deny", "Action": "kms:ListGrants", "Resource": "*"}]}`))
	keys := func(values ...string) map[string][]string { return map[string][]string{"dynamodb:LeadingKeys": values} }
	digest := map[string][]string{"kms:MessageType": {"DIGEST"}, "kms:SigningAlgorithm": {"ES"}}
	for name, c := range map[string]struct {
		call awsCall
		want bool
	}{
		"a key of the pattern":           {awsCall{"dynamodb:GetItem", "arn:table/a", keys("claim/x")}, true},
		"two keys of the patterns":       {awsCall{"dynamodb:GetItem", "arn:table/a", keys("claim/x", "record/0")}, true},
		"one key of another kind":        {awsCall{"dynamodb:GetItem", "arn:table/a", keys("claim/x", "lease/y")}, false},
		"a key that ends like a pattern": {awsCall{"dynamodb:GetItem", "arn:table/a", keys("x/claim/x")}, false},
		"a key longer than ?":            {awsCall{"dynamodb:GetItem", "arn:table/a", keys("record/00")}, false},
		"no key: ForAllValues holds":     {awsCall{"dynamodb:GetItem", "arn:table/a", nil}, true},
		"another table":                  {awsCall{"dynamodb:GetItem", "arn:table/ab", keys("claim/x")}, false},
		"another action":                 {awsCall{"dynamodb:GetItems", "arn:table/a", keys("claim/x")}, false},
		"a digest":                       {awsCall{"kms:Sign", "arn:key/2", digest}, true},
		"a message":                      {awsCall{"kms:Sign", "arn:key/2", map[string][]string{"kms:MessageType": {"RAW"}, "kms:SigningAlgorithm": {"ES"}}}, false},
		"half of the condition":          {awsCall{"kms:Sign", "arn:key/2", map[string][]string{"kms:MessageType": {"DIGEST"}}}, false},
		"a key of the kind":              {awsCall{"kms:CreateKey", "*", map[string][]string{"aws:RequestTag/stack": {"s"}, "kms:KeySpec": {"P256"}}}, true},
		"a key of no kind":               {awsCall{"kms:CreateKey", "*", map[string][]string{"aws:RequestTag/stack": {"s"}}}, true},
		"a key of another kind":          {awsCall{"kms:CreateKey", "*", map[string][]string{"aws:RequestTag/stack": {"s"}, "kms:KeySpec": {"RSA"}}}, false},
		"a key without the tag":          {awsCall{"kms:CreateKey", "*", map[string][]string{"kms:KeySpec": {"P256"}}}, false},
		"a key with a name":              {awsCall{"kms:CreateKey", "*", map[string][]string{"aws:RequestTag/stack": {"s"}, "kms:ResourceAliases": {"alias/x"}}}, false},
		"an action with a wildcard":      {awsCall{"kms:ListKeys", "x", nil}, true},
		"a denial wins":                  {awsCall{"kms:ListGrants", "x", nil}, false},
	} {
		if got := allows(t, policy, c.call); got != c.want {
			t.Errorf("%s: allowed %v", name, got)
		}
	}

	calls := []awsCall{{"dynamodb:GetItem", "arn:table/a", keys("claim/x")}, {"kms:Sign", "arn:key/1", digest}}
	want := []string{"Read: * on * for record/?", "Sign: kms:Sign on arn:key/2", "Make: kms:CreateKey on *", "List: kms:List* on *"}
	if got := unused(t, policy[:4], calls); !slices.Equal(got, want) {
		t.Errorf("unused are %q", got)
	}
}
