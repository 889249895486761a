package test

import (
	"os"
	"slices"
	"strings"
	"testing"

	functions "github.com/gatepass-ci/gatepass/internal/lambda"
)

// Both functions run on arm64, log where the logs are kept, and join is deployed
// behind an alias, a tenth at first, that goes back when alarms say so.
func TestTemplateFunctions(t *testing.T) {
	s := deployed(t)
	for function, logs := range map[string]string{"JoinFunction": "JoinLogs", "JwksRefreshFunction": "JwksRefreshLogs"} {
		f := s.resource(function)
		if f["Runtime"] != "provided.al2023" || jsonText(f["Architectures"]) != `["arm64"]` || f["Handler"] != "bootstrap" ||
			jsonText(f["LoggingConfig"]) != `{"LogGroup":"`+logs+`"}` {
			t.Errorf("%s is %v", function, f)
		}
		if f["ReservedConcurrentExecutions"] != nil {
			t.Errorf("%s reserves %v unasked", function, f["ReservedConcurrentExecutions"])
		}
	}
	if got := jsonText(deployed(t, "JoinReservedConcurrency=50").resource("JoinFunction")["ReservedConcurrentExecutions"]); got != "50" {
		t.Errorf("JoinReservedConcurrency=50 reserves %s", got)
	}
}

func TestTemplateDeployment(t *testing.T) {
	s := deployed(t)
	alias := s.Resources["JoinFunctionAliaslive"]
	if alias.Type != "AWS::Lambda::Alias" || alias.UpdatePolicy["CodeDeployLambdaAliasUpdate"] == nil {
		t.Fatalf("the alias is %+v", alias)
	}
	group := s.resource("JoinFunctionDeploymentGroup")
	if !strings.Contains(jsonText(group["DeploymentConfigName"]), "Canary10Percent5Minutes") ||
		!strings.Contains(jsonText(group["AutoRollbackConfiguration"]), "DEPLOYMENT_STOP_ON_ALARM") {
		t.Errorf("the deployment is %v", group)
	}
	for _, alarm := range []string{"JoinErrors", "SignerFailures", "StoreFailures"} {
		if !strings.Contains(jsonText(group["AlarmConfiguration"]), alarm) {
			t.Errorf("%s does not undo a deployment: %v", alarm, group["AlarmConfiguration"])
		}
	}
}

// A changed parameter reaches the alias. SAM makes a new version when the text of
// the function changes, which a parameter's value does not: so the version's
// description, without which it cannot stay, names a policy that is another one
// with each value of each parameter that join is told.
func TestTemplateParametersReachTheAlias(t *testing.T) {
	others := map[string]string{
		"Stage": "staging", "ApiType": "rest-waf", "DomainName": "join.example.com", "CertificateArn": "arn", "HostedZoneId": "Z1",
		"PublicUrl": "https://join.example.com", "TrustDomain": "example.com", "MaxTtl": "1h", "ThrottleRate": "7", "ThrottleBurst": "7",
		"WafRateLimit": "100", "JoinReservedConcurrency": "7", "SshUserKey": ownKey, "SshHostKey": "none", "X509IdentityKey": "none",
		"X509DatabaseKey": "none", "X509ApplicationKey": "none", "X509KubernetesKey": "none", "JwtKey": "none", "RecordDays": "30",
		"LogRetentionDays": "30", "LogLevel": "debug", "TableKeyArn": ownKey, "AlarmTopicArn": "arn", "PrivateIssuers": "a",
		"IssuerCaLayerArn": "arn", "RefreshConcurrency": "7",
	}
	settings := func(s *stack) (told, policy string) {
		return jsonText(s.resource("JoinFunction")["Environment"]), jsonText(s.resource("JoinPolicy")["Description"])
	}
	before := deployed(t)
	told, policy := settings(before)
	reached := 0
	for name := range before.Parameters {
		value, ok := others[name]
		if !ok {
			t.Fatalf("this test has no other value for the parameter %s", name)
		}
		toldNow, policyNow := settings(deployed(t, name+"="+value))
		if toldNow == told {
			continue
		}
		reached++
		if policyNow == policy {
			t.Errorf("%s=%s is told to join and would not reach the alias: it is not in the description of JoinPolicy", name, value)
		}
	}
	if reached < 10 {
		t.Errorf("only %d parameters are told to join", reached)
	}
	if kind := before.Resources["JoinPolicy"].Type; kind != "AWS::IAM::ManagedPolicy" { // its description can only be replaced
		t.Errorf("JoinPolicy is a %s", kind)
	}
	versions := before.all("AWS::Lambda::Version")
	if len(versions) != 1 || !strings.Contains(jsonText(before.resource(versions[0])["Description"]), "JoinPolicy") {
		t.Errorf("the versions %v do not name JoinPolicy", versions)
	}
	// ApiType behind a domain, or a key given by the ARN that it has, is another policy
	// and no other environment. Lambda then refuses a version of an unchanged function.
	function, policyNow := settings(deployed(t, "ApiType=rest-waf", "DomainName=join.example.com"))
	if told, policy := settings(deployed(t, "DomainName=join.example.com")); told != function || policy == policyNow {
		t.Error("ApiType behind a domain no longer is a change of the policy alone; this test needs another")
	}
	describes, _ := before.resource("JoinFunction")["Description"].(string)
	if !strings.HasSuffix(describes, " JoinPolicy") {
		t.Errorf("another policy leaves the function as it is, %q, and the version cannot be published", describes)
	}
	// Lambda takes 256 characters: 39 before a policy's name in its ARN, and 128 of the name.
	if len(strings.TrimSuffix(describes, "JoinPolicy"))+39+128 > 256 {
		t.Errorf("the function's description can get too long: %q", describes)
	}
	if len(policy) > 400 { // IAM takes 1000 characters; seven ARNs and two names add at most 600
		t.Errorf("the description has %d characters: %s", len(policy), policy)
	}
}

// So does a change of the template, whichever property of the function it is to.
func TestTemplateChangesReachTheAlias(t *testing.T) {
	before := deployed(t).all("AWS::Lambda::Version")
	text, err := os.ReadFile("../template.yaml")
	must(t, err)
	changed := strings.Replace(string(text), "Timeout: 28", "Timeout: 27", 1)
	if changed == string(text) {
		t.Fatal("the template does not set the time of join as this test thinks")
	}
	plain, err := translate(write(t, t.TempDir(), "template.yaml", changed))
	must(t, err)
	if len(before) != 1 || strings.Contains(string(plain), before[0]) {
		t.Errorf("with another timeout the version still is %v", before)
	}
}

// What invokes the functions goes by the alias, and may come from the API alone.
func TestTemplateAPI(t *testing.T) {
	for kind, c := range map[string]struct{ integration, permission, source, stage, limits, entry, all string }{
		"http":     {"HttpIntegration", "HttpPermission", "arn:aws:execute-api:eu-west-1:123456789012:HttpApi/*/$default", "HttpStage", "DefaultRouteSettings", "HttpRoute", `"RouteKey":"$default"`},
		"rest-waf": {"RestMethod", "RestPermission", "arn:aws:execute-api:eu-west-1:123456789012:RestApi/*/*/*", "RestStage", "MethodSettings", "RestResource", `"PathPart":"{proxy+}"`},
	} {
		t.Run(kind, func(t *testing.T) {
			s := deployed(t, "ApiType="+kind, "ThrottleRate=7", "ThrottleBurst=9")
			if target := jsonText(s.resource(c.integration)); !strings.Contains(target, "JoinFunctionAliaslive") {
				t.Errorf("the API calls %s", target)
			}
			if entry := jsonText(s.resource(c.entry)); !strings.Contains(entry, c.all) {
				t.Errorf("not every request gets in: %s", entry)
			}
			// The account is in the source's ARN, which API Gateway is known to give; a
			// condition on a key that it does not give would refuse every request.
			p := s.resource(c.permission)
			if p["FunctionName"] != "JoinFunctionAliaslive" || p["SourceArn"] != c.source || p["SourceAccount"] != nil {
				t.Errorf("the permission is %v", p)
			}
			if limits := jsonText(s.resource(c.stage)[c.limits]); !strings.Contains(limits, `"ThrottlingRateLimit":"7"`) || !strings.Contains(limits, `"ThrottlingBurstLimit":"9"`) {
				t.Errorf("the limits are %s", limits)
			}
			if permissions := s.all("AWS::Lambda::Permission"); len(permissions) != 1 {
				t.Errorf("the functions may be called by %v", permissions)
			}
			// Only one API exists: a second would be a way around the other's limits.
			if apis := slices.Concat(s.all("AWS::ApiGatewayV2::Api"), s.all("AWS::ApiGateway::RestApi")); len(apis) != 1 {
				t.Errorf("the APIs are %v", apis)
			}
			if acls := s.all("AWS::WAFv2::WebACLAssociation"); (len(acls) == 1) != (kind == "rest-waf") {
				t.Errorf("web ACLs: %v", acls)
			}
		})
	}
}

// Access logs tell who asked for what, and nothing that a caller could log in with.
func TestTemplateAccessLogs(t *testing.T) {
	settings := deployed(t).resource("HttpStage")["AccessLogSettings"].(map[string]any)
	if settings["DestinationArn"] != "ApiLogs.Arn" {
		t.Errorf("access logs go to %v", settings["DestinationArn"])
	}
	format := settings["Format"].(string)
	for _, wanted := range []string{"$context.requestId", "$context.identity.sourceIp", "$context.status", "$context.path"} {
		if !strings.Contains(format, wanted) {
			t.Errorf("access logs lack %s", wanted)
		}
	}
	for _, secret := range []string{"authorizer", "header", "body", "querystring"} {
		if strings.Contains(strings.ToLower(format), secret) {
			t.Errorf("access logs have %s: %s", secret, format)
		}
	}
}

// With a domain of one's own, API Gateway's address is not a second way in.
func TestTemplateDomain(t *testing.T) {
	for kind, api := range map[string]string{"http": "HttpApi", "rest-waf": "RestApi"} {
		if got := deployed(t, "ApiType="+kind).resource(api)["DisableExecuteApiEndpoint"]; got != false {
			t.Errorf("without a domain, %s is closed: %v", api, got)
		}
		s := deployed(t, append([]string{"ApiType=" + kind}, everything...)...)
		if got := s.resource(api)["DisableExecuteApiEndpoint"]; got != true {
			t.Errorf("with a domain, %s is open: %v", api, got)
		}
		if mapping := s.resource("DomainMapping"); mapping["ApiId"] != api {
			t.Errorf("the domain leads to %v", mapping)
		}
		if s.resource("DomainRecord")["Name"] != "join.example.com" {
			t.Error("the domain is not recorded")
		}
	}
}

func TestTemplateSchedule(t *testing.T) {
	schedule := deployed(t).resource("RefreshSchedule")
	target := schedule["Target"].(map[string]any)
	if schedule["ScheduleExpression"] != "rate(15 minutes)" || target["Arn"] != "JwksRefreshFunction.Arn" || target["Input"] != "{}" {
		t.Errorf("the schedule is %v", schedule)
	}
	if target["RetryPolicy"] == nil || jsonText(target["DeadLetterConfig"]) != `{"Arn":"ScheduleFailures.Arn"}` {
		t.Errorf("what fails is not tried again and kept: %v", target)
	}
}

// Each alarm watches a metric that exists, and tells the topic if there is one.
func TestTemplateAlarms(t *testing.T) {
	const topic = "arn:aws:sns:eu-west-1:123456789012:alarms"
	s := deployed(t, "AlarmTopicArn="+topic, "Stage=staging")
	ours := map[string]bool{
		functions.MetricJoins: false, functions.MetricDenied: false, functions.MetricSignerFailures: false,
		functions.MetricStoreFailures: false, functions.MetricStaleKeySets: false, functions.MetricRefreshFailures: false,
	}
	for _, name := range s.all("AWS::CloudWatch::Alarm") {
		alarm := s.resource(name)
		for _, m := range watched(alarm) {
			if m["Namespace"] != functions.Namespace {
				continue
			}
			metric := m["MetricName"].(string)
			if _, ok := ours[metric]; !ok {
				t.Errorf("%s watches %s, which nobody writes", name, metric)
			}
			ours[metric] = true
			if jsonText(m["Dimensions"]) != `[{"Name":"Stage","Value":"staging"}]` {
				t.Errorf("%s watches %s of %v", name, metric, m["Dimensions"])
			}
		}
		part := strings.HasPrefix(name, "Denied") // of the composite alarm, which tells
		if told := jsonText(alarm["AlarmActions"]) == `["`+topic+`"]`; told == part {
			t.Errorf("%s tells %v", name, alarm["AlarmActions"])
		}
	}
	for _, metric := range []string{functions.MetricDenied, functions.MetricSignerFailures, functions.MetricStoreFailures, functions.MetricStaleKeySets} {
		if !ours[metric] {
			t.Errorf("no alarm watches %s", metric)
		}
	}
	composite := s.resource("DeniedJoins")
	if composite["AlarmRule"] != `ALARM("DeniedAboveBand") AND ALARM("DeniedMoreThanAFew")` || jsonText(composite["AlarmActions"]) != `["`+topic+`"]` {
		t.Errorf("denied joins: %v", composite)
	}
	if quiet := deployed(t).resource("JoinErrors")["AlarmActions"]; quiet != nil {
		t.Errorf("without a topic an alarm tells %v", quiet)
	}
}

// Both functions' throttles are watched, each by an alarm of its own. A sum has no
// value while one of its parts has none, and jwks-refresh has none but every 15 minutes.
func TestTemplateAlarmsDoNotAdd(t *testing.T) {
	s := deployed(t)
	throttled := map[string]bool{}
	for _, name := range s.all("AWS::CloudWatch::Alarm") {
		alarm := s.resource(name)
		list, _ := alarm["Metrics"].([]any)
		for _, m := range list {
			expression, _ := m.(map[string]any)["Expression"].(string)
			if expression != "" && !strings.HasPrefix(expression, "ANOMALY_DETECTION_BAND(") {
				t.Errorf("%s is blind while one of its metrics has no data: %s", name, expression)
			}
		}
		if alarm["MetricName"] == "Throttles" {
			throttled[jsonText(alarm["Dimensions"])] = true
		}
	}
	for _, function := range []string{"JoinFunction", "JwksRefreshFunction"} {
		if !throttled[`[{"Name":"FunctionName","Value":"`+function+`"}]`] {
			t.Errorf("no alarm watches throttles of %s: %v", function, throttled)
		}
	}
}

// watched returns the metrics of an alarm.
func watched(alarm map[string]any) (metrics []map[string]any) {
	if alarm["MetricName"] != nil {
		return []map[string]any{alarm}
	}
	list, _ := alarm["Metrics"].([]any)
	for _, m := range list {
		if stat, ok := m.(map[string]any)["MetricStat"].(map[string]any); ok {
			metrics = append(metrics, stat["Metric"].(map[string]any))
		}
	}
	return metrics
}
