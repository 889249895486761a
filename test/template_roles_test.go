package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// statement is one of an IAM policy, all its members as lists.
type statement struct {
	Sid, Effect      string
	Action, Resource oneOrMore
	Principal        any
	Condition        map[string]map[string]oneOrMore
	NotAction        any
	NotResource      any
	NotPrincipal     any
}

// oneOrMore is a list that JSON may write as a single value.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// statements returns what a policy document says.
func statements(t *testing.T, document any) []statement {
	t.Helper()
	text, err := json.Marshal(document)
	must(t, err)
	var policy struct{ Statement []statement }
	must(t, json.Unmarshal(text, &policy))
	return policy.Statement
}

// role returns all that a role may do, wherever it is written.
func (s *stack) role(name string) (all []statement) {
	s.t.Helper()
	role := s.resource(name)
	if role["ManagedPolicyArns"] != nil {
		s.t.Errorf("%s has policies that someone else writes: %v", name, role["ManagedPolicyArns"])
	}
	inline, _ := role["Policies"].([]any)
	for _, p := range inline {
		all = append(all, statements(s.t, p.(map[string]any)["PolicyDocument"])...)
	}
	for _, policy := range s.all("AWS::IAM::ManagedPolicy") {
		p := s.resource(policy)
		roles, _ := p["Roles"].([]any)
		if slices.Contains(roles, any(name)) {
			all = append(all, statements(s.t, p["PolicyDocument"])...)
		}
	}
	if others := s.all("AWS::IAM::Policy"); len(others) > 0 {
		s.t.Errorf("this test does not read the policies %v", others)
	}
	return all
}

// String is a statement in one line: actions on resources, and under which conditions.
func (st statement) String() string {
	line := st.Effect + " " + strings.Join(st.Action, ",") + " on " + strings.Join(st.Resource, ",")
	text, _ := json.Marshal(st.Condition)
	if len(st.Condition) > 0 {
		line += " if " + string(text)
	}
	return line
}

const (
	digestOnly = `if {"StringEquals":{"kms:MessageType":["DIGEST"],"kms:SigningAlgorithm":["ECDSA_SHA_256"]}}`
	viaTables  = `if {"StringEquals":{"kms:ViaService":["dynamodb.eu-west-1.amazonaws.com"]}}`
)

// allKeys are all keys of the account, of which tags choose some.
const allKeys = "arn:aws:kms:eu-west-1:123456789012:key/*"

// tagged is the condition that a key is one that a rotation made for these authorities.
func tagged(purposes []cert.Purpose, more string) string {
	return fmt.Sprintf(`if {"StringEquals":{"aws:ResourceTag/gatepass:authority":%s,"aws:ResourceTag/gatepass:stack":["gatepass"]%s}}`, jsonText(purposes), more)
}

func leading(operator string, keys ...string) string {
	return fmt.Sprintf(`if {"ForAllValues:%s":{"dynamodb:LeadingKeys":["%s"]}}`, operator, strings.Join(keys, `","`))
}

// keysOf lists the keys of authorities as a policy does.
func keysOf(purposes ...cert.Purpose) string {
	var names []string
	for _, p := range purposes {
		names = append(names, keyResource(p)+".Arn")
	}
	return strings.Join(names, ",")
}

// keyResource is the resource of an authority's key: SshUserAuthority for ssh-user.
func keyResource(p cert.Purpose) (name string) {
	for word := range strings.SplitSeq(string(p), "-") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name + "Authority"
}

// Each role may do this and nothing else. docs/storage.md says what the tables' part
// is for, docs/deploy.md the rest.
func TestTemplateRoles(t *testing.T) {
	others := slices.DeleteFunc(cert.Purposes(), func(p cert.Purpose) bool { return p == cert.SSHHost })
	tableKey := "Allow kms:Decrypt on " + ownKey + " " + viaTables
	for role, want := range map[string][]string{
		"JoinRole": {
			"Allow logs:CreateLogStream,logs:PutLogEvents on JoinLogs.Arn",
			"Allow dynamodb:GetItem on ResourcesTable.Arn " + leading("StringEquals", "token", "bot"),
			"Allow dynamodb:BatchGetItem on ResourcesTable.Arn " + leading("StringEquals", "role"),
			"Allow dynamodb:Query on ResourcesTable.Arn " + leading("StringEquals", "lock", "authority", "revocation"),
			"Allow dynamodb:GetItem on KeySetsTable.Arn",
			"Allow dynamodb:GetItem on JoinsTable.Arn " + leading("StringLike", "claim/*", "certificate/*"),
			"Allow dynamodb:UpdateItem on JoinsTable.Arn " + leading("StringLike", "claim/*", "lease/*"),
			"Allow dynamodb:PutItem on JoinsTable.Arn " + leading("StringLike", "record/*", "certificate/*"),
			"Allow kms:Sign on " + keysOf(others...) + " " + digestOnly,
			"Allow kms:GetPublicKey on " + keysOf(cert.Purposes()...),
			"Allow kms:Sign on " + allKeys + " " + tagged(others, `,"kms:MessageType":["DIGEST"],"kms:SigningAlgorithm":["ECDSA_SHA_256"]`),
			"Allow kms:GetPublicKey on " + allKeys + ` if {"StringEquals":{"aws:ResourceTag/gatepass:stack":["gatepass"]}}`,
			"Allow lambda:InvokeFunction on JwksRefreshFunction.Arn",
			tableKey,
		},
		"JwksRefreshRole": {
			"Allow logs:CreateLogStream,logs:PutLogEvents on JwksRefreshLogs.Arn",
			"Allow dynamodb:Query on ResourcesTable.Arn " + leading("StringEquals", "token"),
			"Allow dynamodb:GetItem,dynamodb:PutItem,dynamodb:UpdateItem on KeySetsTable.Arn",
			tableKey,
		},
		"ScheduleRole": {
			"Allow lambda:InvokeFunction on JwksRefreshFunction.Arn",
			"Allow sqs:SendMessage on ScheduleFailures.Arn",
		},
	} {
		t.Run(role, func(t *testing.T) {
			var got []string
			for _, st := range deployed(t, "TableKeyArn="+ownKey).role(role) {
				got = append(got, st.String())
				if st.NotAction != nil || st.NotResource != nil {
					t.Errorf("%s says what it does not allow, and so allows the rest", st.Sid)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		})
	}
}

// No statement of the functions' roles has a wildcard, whatever is deployed, nor
// grants anything on keys and tables that the stack does not have; save for keys
// that a rotation made, of which the stack's tag tells.
func TestTemplateRolesHaveNoWildcards(t *testing.T) {
	for name, params := range shapes {
		t.Run(name, func(t *testing.T) {
			s := deployed(t, params...)
			for _, function := range s.all("AWS::Lambda::Function") {
				arn := s.resource(function)["Role"].(string)
				role := strings.TrimSuffix(arn, ".Arn")
				all := s.role(role)
				if len(all) < 3 {
					t.Fatalf("%s of %s says only %v", role, function, all)
				}
				for _, st := range all {
					if slices.Equal(st.Resource, oneOrMore{allKeys}) && slices.Equal(st.Condition["StringEquals"]["aws:ResourceTag/gatepass:stack"], oneOrMore{"gatepass"}) {
						st.Resource = oneOrMore{"keys of the stack"}
					}
					if len(st.Action) == 0 || len(st.Resource) == 0 || strings.Contains(strings.Join(slices.Concat(st.Action, st.Resource), " "), "*") {
						t.Errorf("%s of %s: %v", st.Sid, role, st)
					}
				}
			}
		})
	}
}

// Administrators find the stack by its name, which AWS may authorize as stack/NAME/*
// or by the id that it has. No other stack is found.
func TestTemplateAdministratorsFindTheStack(t *testing.T) {
	const want = "Allow cloudformation:DescribeStacks on arn:aws:cloudformation:eu-west-1:123456789012:stack/gatepass/*"
	var got []string
	for _, st := range statements(t, deployed(t).resource("AdministratorPolicy")["PolicyDocument"]) {
		if strings.HasPrefix(st.Action[0], "cloudformation:") {
			got = append(got, st.String())
		}
	}
	if !slices.Equal(got, []string{want}) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A tag lets a stack's people and its join sign. So a key of another stack, or one that
// somebody gave a name, cannot be given one, and each key of a stack has the stack's.
func TestTemplateAdministratorsTagNewKeys(t *testing.T) {
	s := deployed(t)
	administrators := statements(t, s.resource("AdministratorPolicy")["PolicyDocument"])
	tag := func(action string, more map[string][]string) awsCall {
		c := awsCall{action, "arn:aws:kms:eu-west-1:123456789012:key/0", map[string][]string{
			"aws:RequestTag/gatepass:stack": {"gatepass"}, "aws:RequestTag/gatepass:authority": {"ssh-host"},
			"aws:TagKeys": {"gatepass:stack", "gatepass:authority"}, "kms:KeySpec": {"ECC_NIST_P256"}, "kms:KeyUsage": {"SIGN_VERIFY"}}}
		maps.Copy(c.Context, more)
		return c
	}
	for name, c := range map[string]struct {
		call awsCall
		want bool
	}{
		"a new key":              {tag("kms:CreateKey", nil), true},
		"the tags of a new key":  {tag("kms:TagResource", nil), true},
		"a key of this stack":    {tag("kms:TagResource", map[string][]string{"aws:ResourceTag/gatepass:stack": {"gatepass"}}), true},
		"a key of another stack": {tag("kms:TagResource", map[string][]string{"aws:ResourceTag/gatepass:stack": {"production"}}), false},
		"a key with a name":      {tag("kms:TagResource", map[string][]string{"kms:ResourceAliases": {"alias/payments"}}), false},
		"a key of another kind":  {tag("kms:TagResource", map[string][]string{"kms:KeySpec": {"RSA_2048"}}), false},
		"another stack's tag":    {tag("kms:TagResource", map[string][]string{"aws:RequestTag/gatepass:stack": {"production"}}), false},
	} {
		if got := allows(t, administrators, c.call); got != c.want {
			t.Errorf("%s: allowed %v", name, got)
		}
	}
	for _, p := range cert.Purposes() {
		if tags := jsonText(s.resource(keyResource(p))["Tags"]); tags != `[{"Key":"gatepass:stack","Value":"gatepass"}]` {
			t.Errorf("the key of %s has the tags %s", p, tags)
		}
	}
}

// IAM takes 6144 characters of a managed policy; the most that join's can be is
// with every key and every name as long as they get.
func TestTemplatePolicySize(t *testing.T) {
	document := jsonText(deployed(t, "TableKeyArn="+ownKey).resource("JoinPolicy")["PolicyDocument"])
	size := len(regexp.MustCompile(`\w+\.Arn`).ReplaceAllLiteralString(document, strings.Repeat("a", 130)))
	if size > 6144 || size < 2500 {
		t.Errorf("the policy has up to %d characters", size)
	}
}

// Who may assume which role: the service that runs as it and nobody else.
func TestTemplateRolesAreAssumedBy(t *testing.T) {
	s := deployed(t)
	want := map[string]string{
		"JoinRole": "lambda", "JwksRefreshRole": "lambda", "ScheduleRole": "scheduler", "DeploymentRole": "codedeploy",
	}
	if roles := s.all("AWS::IAM::Role"); len(roles) != len(want) {
		t.Errorf("the stack has the roles %v", roles)
	}
	for role, service := range want {
		trust := statements(t, s.resource(role)["AssumeRolePolicyDocument"])
		if len(trust) != 1 || jsonText(trust[0].Principal) != `{"Service":"`+service+`.amazonaws.com"}` || !slices.Equal(trust[0].Action, oneOrMore{"sts:AssumeRole"}) {
			t.Errorf("%s may be assumed so: %+v", role, trust)
		}
		// These services act for every account; Lambda does not say for which.
		if ours := jsonText(trust[0].Condition); service != "lambda" && ours != `{"StringEquals":{"aws:SourceAccount":["123456789012"]}}` {
			t.Errorf("%s may be assumed for other accounts: %s", role, ours)
		}
	}
}

// A key lets join sign digests, or administrators those of host certificates; the
// account looks after it and does not sign.
func TestTemplateKeyPolicies(t *testing.T) {
	s := deployed(t)
	const account = "arn:aws:iam::123456789012:root"
	for _, purpose := range cert.Purposes() {
		name := keyResource(purpose)
		key := s.resource(name)
		if key["KeySpec"] != "ECC_NIST_P256" || key["KeyUsage"] != "SIGN_VERIFY" || key["PendingWindowInDays"] != float64(30) {
			t.Errorf("%s is %v", name, key)
		}
		signer := "JoinRole.Arn"
		if purpose == cert.SSHHost {
			signer = account
		}
		var signs, reads, others int
		for _, st := range statements(t, key["KeyPolicy"]) {
			who := st.Principal.(map[string]any)["AWS"]
			switch {
			case slices.Equal(st.Action, oneOrMore{"kms:Sign"}):
				signs++
				if who != signer || st.String() != "Allow kms:Sign on * "+digestOnly {
					t.Errorf("%s: %v by %v", name, st, who)
				}
			case slices.Equal(st.Action, oneOrMore{"kms:GetPublicKey"}):
				reads++
				if who != "JoinRole.Arn" {
					t.Errorf("%s: %v by %v", name, st, who)
				}
			default:
				others++
				if who != account {
					t.Errorf("%s: %v by %v", name, st, who)
				}
				for _, forbidden := range []string{"kms:Sign", "kms:CreateGrant", "kms:Encrypt", "kms:ReplicateKey"} {
					if slices.ContainsFunc(st.Action, func(pattern string) bool { return matches(pattern, forbidden) }) {
						t.Errorf("%s: the account may %s", name, forbidden)
					}
				}
				if !slices.ContainsFunc(st.Action, func(pattern string) bool { return matches(pattern, "kms:PutKeyPolicy") }) {
					t.Errorf("%s: nobody may ever change its policy", name)
				}
			}
		}
		if signs != 1 || reads != 1 || others != 1 {
			t.Errorf("%s: %d statements sign, %d read the public key, %d are others", name, signs, reads, others)
		}
	}
}

// matches tells whether an action is of an IAM pattern with at most one asterisk.
func matches(pattern, action string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == action
	}
	return len(action) >= len(before)+len(after) && strings.HasPrefix(action, before) && strings.HasSuffix(action, after)
}
