package test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	functions "github.com/gatepass-ci/gatepass/internal/lambda"
)

// everything sets each parameter that is empty by default and can be set beside the others.
var everything = []string{
	"DomainName=join.example.com", "CertificateArn=arn:aws:acm:eu-west-1:123456789012:certificate/1", "HostedZoneId=Z123",
	"TrustDomain=example.com", "JoinReservedConcurrency=50", "TableKeyArn=" + ownKey, "AlarmTopicArn=arn:aws:sns:eu-west-1:123456789012:alarms",
	"PrivateIssuers=circleci.internal:8443", "IssuerCaLayerArn=arn:aws:lambda:eu-west-1:123456789012:layer:ca:1",
}

const ownKey = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000001"

// sshOnly leaves out each authority that can be.
var sshOnly = []string{"SshHostKey=none", "X509IdentityKey=none", "X509DatabaseKey=none", "X509ApplicationKey=none", "X509KubernetesKey=none", "JwtKey=none"}

// shapes are deployments that differ in which resources exist.
var shapes = map[string][]string{
	"defaults":          nil,
	"everything":        everything,
	"rest":              {"ApiType=rest-waf"},
	"rest, everything":  append([]string{"ApiType=rest-waf"}, everything...),
	"SSH users only":    sshOnly,
	"keys that existed": {"SshUserKey=" + ownKey, "SshHostKey=" + ownKey, "JwtKey=" + ownKey},
	"behind a CDN":      {"PublicUrl=https://join.example.com/gatepass"},
}

// Whatever the parameters, nothing refers to what does not exist, and
// CloudFormation takes them.
func TestTemplateShapes(t *testing.T) {
	for name, params := range shapes {
		t.Run(name, func(t *testing.T) {
			s := deployed(t, params...)
			s.whole()
			if why := s.refusal(); why != "" {
				t.Errorf("refused by %s", why)
			}
		})
	}
}

// environment returns the variables of a function.
func (s *stack) environment(function string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for name, v := range s.resource(function)["Environment"].(map[string]any)["Variables"].(map[string]any) {
		out[name] = jsonText(v)
	}
	return out
}

// jsonText is a value as Lambda would have it: a string as it is, a number in digits.
func jsonText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// The functions are given every setting that they read, and none that they do not.
func TestTemplateEnvironment(t *testing.T) {
	for name, params := range shapes {
		t.Run(name, func(t *testing.T) {
			s := deployed(t, params...)
			for function, read := range map[string]func(func(string) string) error{
				"JoinFunction":        func(get func(string) string) error { _, err := functions.ReadJoinSettings(get); return err },
				"JwksRefreshFunction": readRefresh,
			} {
				given, asked := s.environment(function), map[string]bool{}
				err := read(func(name string) string { asked[name] = true; return given[name] })
				if err != nil {
					t.Errorf("%s does not start: %v", function, err)
				}
				for variable := range given {
					if !asked[variable] {
						t.Errorf("%s is given %s and does not read it", function, variable)
					}
				}
				for variable := range asked {
					if _, ok := given[variable]; !ok && name == "everything" {
						t.Errorf("%s reads %s and is never given it", function, variable)
					}
				}
			}
		})
	}
}

// readRefresh reads the settings of jwks-refresh without the file of the layer,
// which is not here.
func readRefresh(get func(string) string) error {
	_, err := functions.ReadRefreshSettings(func(name string) string {
		if v := get(name); name != jwks.EnvIssuerCA || v != "/opt/issuer-ca.pem" {
			return v
		}
		return ""
	})
	return err
}

func TestTemplateSettings(t *testing.T) {
	for name, c := range map[string]struct {
		params                 []string
		publicURL, trustDomain string
		keys                   int
		maxTTL                 time.Duration
	}{
		"defaults":      {nil, "https://HttpApi.execute-api.eu-west-1.amazonaws.com", "HttpApi.execute-api.eu-west-1.amazonaws.com", 7, 12 * time.Hour},
		"rest":          {[]string{"ApiType=rest-waf"}, "https://RestApi.execute-api.eu-west-1.amazonaws.com/live", "RestApi.execute-api.eu-west-1.amazonaws.com", 7, 12 * time.Hour},
		"custom domain": {[]string{"DomainName=join.example.com"}, "https://join.example.com", "join.example.com", 7, 12 * time.Hour},
		"CDN":           {[]string{"PublicUrl=https://cdn.example.com/a"}, "https://cdn.example.com/a", "cdn.example.com", 7, 12 * time.Hour},
		"trust domain":  {[]string{"TrustDomain=example.com", "MaxTtl=90m"}, "https://HttpApi.execute-api.eu-west-1.amazonaws.com", "example.com", 7, 90 * time.Minute},
		"SSH only":      {sshOnly, "https://HttpApi.execute-api.eu-west-1.amazonaws.com", "HttpApi.execute-api.eu-west-1.amazonaws.com", 1, 12 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := deployed(t, c.params...)
			env := s.environment("JoinFunction")
			join, err := functions.ReadJoinSettings(func(name string) string { return env[name] })
			must(t, err)
			out, err := ctl.FindStack(t.Context(), describer(s.outputs()), "gatepass")
			must(t, err)
			if join.PublicURL != c.publicURL || out.PublicURL != c.publicURL {
				t.Errorf("the public URL is %q to join, %q to gatepassctl; want %q", join.PublicURL, out.PublicURL, c.publicURL)
			}
			if !strings.EqualFold(join.TrustDomain, c.trustDomain) || out.TrustDomain != c.trustDomain {
				t.Errorf("the trust domain is %q to join, %q to gatepassctl; want %q", join.TrustDomain, out.TrustDomain, c.trustDomain)
			}
			if join.MaxTTL != c.maxTTL {
				t.Errorf("the longest lifetime is %s, want %s", join.MaxTTL, c.maxTTL)
			}
			if len(join.Keys) != c.keys || !maps.Equal(join.Keys, out.Keys) {
				t.Errorf("keys: join has %v, gatepassctl %v; want %d", join.Keys, out.Keys, c.keys)
			}
			if out.ResourcesTable != join.ResourcesTable || out.KeySetsTable != join.KeySetsTable || out.JoinsTable != join.JoinsTable {
				t.Errorf("join and gatepassctl have different tables: %+v, %+v", join, out)
			}
			if out.RefreshFunction != "JwksRefreshFunction" || s.outputs()["JoinFunction"] != "JoinFunction" || out.JoinURL == "" {
				t.Errorf("outputs: %v", s.outputs())
			}
		})
	}
}

// describer answers as CloudFormation does for a stack with these outputs.
type describer map[string]string

func (d describer) DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	var s types.Stack
	for k, v := range d {
		s.Outputs = append(s.Outputs, types.Output{OutputKey: &k, OutputValue: &v})
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{s}}, nil
}

// A key that is given by its ARN is used, and none is made.
func TestTemplateOwnKeys(t *testing.T) {
	s := deployed(t, "SshUserKey="+ownKey)
	if got := s.outputs()["KeySshUser"]; got != ownKey {
		t.Errorf("KeySshUser is %s", got)
	}
	if keys := s.all("AWS::KMS::Key"); len(keys) != len(cert.Purposes())-1 || slices.Contains(keys, "SshUserAuthority") {
		t.Errorf("the stack makes the keys %v", keys)
	}
}

// An authority that is left out leaves nothing behind, and nothing else out.
func TestTemplateLeavesOut(t *testing.T) {
	for _, left := range cert.Purposes() {
		if left == cert.SSHUser {
			continue
		}
		t.Run(string(left), func(t *testing.T) {
			s := deployed(t, strings.TrimSuffix(keyResource(left), "Authority")+"Key=none")
			env := s.environment("JoinFunction")
			join, err := functions.ReadJoinSettings(func(name string) string { return env[name] })
			must(t, err)
			out, err := ctl.FindStack(t.Context(), describer(s.outputs()), "gatepass")
			must(t, err)
			keys := s.all("AWS::KMS::Key")
			if want := len(cert.Purposes()) - 1; len(keys) != want || len(join.Keys) != want || len(out.Keys) != want {
				t.Errorf("%d keys, %d for join, %d for gatepassctl; want %d", len(keys), len(join.Keys), len(out.Keys), want)
			}
			if join.Keys[left] != "" || out.Keys[left] != "" || slices.Contains(keys, keyResource(left)) {
				t.Errorf("it is there: keys %v, join %v, gatepassctl %v", keys, join.Keys, out.Keys)
			}
			for p, key := range join.Keys {
				if key != keyResource(p)+".Arn" || out.Keys[p] != key {
					t.Errorf("%s is signed by %s, and gatepassctl thinks by %s", p, key, out.Keys[p])
				}
			}
		})
	}
}

// What CloudFormation refuses before it makes anything.
func TestTemplateRefusals(t *testing.T) {
	for params, want := range map[string]string{
		"Stage=Production":                    "Stage",
		"Stage=":                              "Stage",
		"ApiType=lambda-url":                  "ApiType",
		"DomainName=https://join.example.com": "DomainName",
		"DomainName=join.example.com":         "rule CustomDomain",
		"DomainName=join.example.com CertificateArn=arn:aws:acm:eu-west-1:123456789012:certificate/1 PublicUrl=https://a.example.com": "rule CustomDomain",
		"HostedZoneId=Z1":                         "rule HostedZone",
		"HostedZoneId=example.com":                "HostedZoneId",
		"PublicUrl=http://join.example.com":       "PublicUrl",
		"PublicUrl=https://join.example.com/":     "PublicUrl",
		"PublicUrl=https://join.example.com?a":    "PublicUrl",
		"PublicUrl=https://user@join.example.com": "PublicUrl",
		"TrustDomain=https://example.com":         "TrustDomain",
		"MaxTtl=13h":                              "MaxTtl",
		"MaxTtl=721m":                             "MaxTtl",
		"MaxTtl=0m":                               "MaxTtl",
		"MaxTtl=30":                               "MaxTtl",
		"ThrottleRate=0":                          "ThrottleRate",
		"JoinReservedConcurrency=0":               "JoinReservedConcurrency",
		"SshUserKey=none":                         "SshUserKey",
		"SshUserKey=":                             "SshUserKey",
		"JwtKey=alias/jwt":                        "JwtKey",
		"JwtKey=arn:aws:kms:eu-west-1:123456789012:alias/jwt": "JwtKey",
		"RecordDays=0":                             "RecordDays",
		"LogRetentionDays=42":                      "LogRetentionDays",
		"LogLevel=trace":                           "LogLevel",
		"AlarmTopicArn=alarms":                     "AlarmTopicArn",
		"PrivateIssuers=https://circleci.internal": "PrivateIssuers",
		"IssuerCaLayerArn=arn:aws:lambda:eu-west-1:123456789012:layer:ca": "IssuerCaLayerArn",
	} {
		t.Run(params, func(t *testing.T) {
			if got := deployed(t, strings.Fields(params)...).refusal(); got != want {
				t.Errorf("refused by %q, want %q", got, want)
			}
		})
	}
}

// Who deploys is told of each parameter what it is and, where it has a form, what the form is.
func TestTemplateParameters(t *testing.T) {
	p := plain(t)
	var listed []string
	for _, group := range p.Metadata["AWS::CloudFormation::Interface"].(map[string]any)["ParameterGroups"].([]any) {
		for _, name := range group.(map[string]any)["Parameters"].([]any) {
			listed = append(listed, name.(string))
		}
	}
	slices.Sort(listed)
	if names := slices.Sorted(maps.Keys(p.Parameters)); !slices.Equal(names, listed) {
		t.Errorf("the console's groups list %v, and the parameters are %v", listed, names)
	}
	for name, param := range p.Parameters {
		if param.Description == "" || param.Default == nil {
			t.Errorf("%s needs a description and a default: %+v", name, param)
		}
		if (param.AllowedPattern == "") != (param.ConstraintDescription == "") {
			t.Errorf("%s needs both a pattern and what it means", name)
		}
		if param.Type == "String" && param.AllowedPattern == "" && len(param.AllowedValues) == 0 {
			t.Errorf("%s takes any text", name)
		}
	}
}

// The tables are made as the store wants them.
func TestTemplateTables(t *testing.T) {
	s := deployed(t, "TableKeyArn="+ownKey)
	if tables := s.all("AWS::DynamoDB::Table"); len(tables) != len(dynamo.Schema()) {
		t.Errorf("there are the tables %v", tables)
	}
	for _, want := range dynamo.Schema() {
		name := want.Name + "Table"
		table := s.resource(name)
		var keys, types []string
		for _, k := range table["KeySchema"].([]any) {
			key := k.(map[string]any)
			keys = append(keys, key["AttributeName"].(string)+" "+key["KeyType"].(string))
		}
		for _, a := range table["AttributeDefinitions"].([]any) {
			types = append(types, a.(map[string]any)["AttributeType"].(string))
		}
		wantKeys := []string{want.Hash + " HASH"}
		if want.Range != "" {
			wantKeys = append(wantKeys, want.Range+" RANGE")
		}
		if !slices.Equal(keys, wantKeys) || slices.ContainsFunc(types, func(k string) bool { return k != "S" }) || len(types) != len(keys) {
			t.Errorf("%s has the key %v of types %v, want %v of S", name, keys, types, wantKeys)
		}
		ttl, _ := table["TimeToLiveSpecification"].(map[string]any)
		if got, _ := ttl["AttributeName"].(string); got != want.TTL || ttl != nil && ttl["Enabled"] != true {
			t.Errorf("%s expires by %v, want %q", name, ttl, want.TTL)
		}
		if table["BillingMode"] != "PAY_PER_REQUEST" || table["DeletionProtectionEnabled"] != true ||
			jsonText(table["PointInTimeRecoverySpecification"]) != `{"PointInTimeRecoveryEnabled":true}` ||
			jsonText(table["SSESpecification"]) != `{"KMSMasterKeyId":"`+ownKey+`","SSEEnabled":true,"SSEType":"KMS"}` {
			t.Errorf("%s is not kept as it should be: %v", name, table)
		}
		if table["GlobalSecondaryIndexes"] != nil || table["LocalSecondaryIndexes"] != nil {
			t.Errorf("%s has an index", name)
		}
	}
}

// What cannot be made again stays when the stack goes; everything else says that it goes.
func TestTemplateRetains(t *testing.T) {
	for name, r := range plain(t).Resources {
		switch r.Type {
		case "AWS::DynamoDB::Table":
			if r.DeletionPolicy != "Retain" || r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s would be deleted: %s, %s", name, r.DeletionPolicy, r.UpdateReplacePolicy)
			}
		case "AWS::KMS::Key", "AWS::Logs::LogGroup":
			if r.DeletionPolicy != "RetainExceptOnCreate" || r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s would be deleted: %s, %s", name, r.DeletionPolicy, r.UpdateReplacePolicy)
			}
		}
		if r.Type == "AWS::Logs::LogGroup" && jsonText(r.Properties["RetentionInDays"]) != `{"Ref":"LogRetentionDays"}` {
			t.Errorf("%s is kept for %v", name, r.Properties["RetentionInDays"])
		}
	}
}

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func TestTemplateVersion(t *testing.T) {
	s := deployed(t)
	published, _ := s.Metadata["AWS::ServerlessRepo::Application"].(map[string]any)
	version, _ := published["SemanticVersion"].(string)
	if !semver.MatchString(version) || version != s.outputs()["Version"] {
		t.Errorf("the template is version %q to the application repository and %q as an output", version, s.outputs()["Version"])
	}
	if version != functions.Version {
		t.Errorf("the template is version %q and the functions say %q", version, functions.Version)
	}
	for _, field := range []string{"LicenseUrl", "ReadmeUrl"} {
		if _, err := os.Stat("../" + published[field].(string)); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
}
