package test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// notInMoto are the types of resources that moto's CloudFormation does not make.
// Nothing that stays refers to one with the parameters that the test deploys, save
// for the output JoinUrl.
var notInMoto = map[string]string{
	"AWS::ApiGatewayV2::Api":           "no HTTP APIs in stacks; the events are made by the test",
	"AWS::ApiGatewayV2::Integration":   "part of it",
	"AWS::ApiGatewayV2::Route":         "part of it",
	"AWS::ApiGatewayV2::Stage":         "part of it",
	"AWS::ApiGatewayV2::DomainName":    "custom domains, of which there is none by default",
	"AWS::ApiGatewayV2::ApiMapping":    "part of them",
	"AWS::ApiGateway::Stage":           "the REST API, of which there is none by default",
	"AWS::WAFv2::WebACL":               "in front of it",
	"AWS::WAFv2::WebACLAssociation":    "in front of it",
	"AWS::Lambda::Alias":               "no aliases in stacks, and so no permissions on them",
	"AWS::Lambda::Permission":          "who may invoke the alias",
	"AWS::CodeDeploy::Application":     "no canary deployments",
	"AWS::CodeDeploy::DeploymentGroup": "part of them",
	"AWS::Scheduler::Schedule":         "no schedules in stacks; the test sends the event",
	"AWS::CloudWatch::Alarm":           "no alarms in stacks",
	"AWS::CloudWatch::CompositeAlarm":  "part of them",
}

// deployment is the service as sam deploy makes it of template.yaml, in moto: its
// tables (DynamoDB is moto's own here, since CloudFormation makes them there), its
// keys and its roles. The functions run under emulators, with the environment that
// the stack gives them, and each caller has a recorder in front of AWS.
type deployment struct {
	*lambdaWorld
	moto      *awstest.Moto
	name      string // of the stack
	outputs   map[string]string
	tables    dynamo.Tables
	roles     map[string]string // ARN, by function
	recorders map[string]*recorder
	join      *joinFunction
	gateway   *httptest.Server
	ctlEnv    []string

	rotatedHost, foreignKey string // KMS keys, of which no function may sign by any
}

// The callers.
const (
	callerJoin    = "join"
	callerRefresh = "jwks-refresh"
	callerAdmin   = "gatepassctl"
)

func deploy(t *testing.T) *deployment {
	t.Helper()
	venv(t, "sam", "sam")
	d := &deployment{name: "gatepass", lambdaWorld: &lambdaWorld{t: t, functionLimit: 20 * time.Second}}
	var err error
	d.moto, err = awstest.StartMoto()
	worldtest.Needed(t, err)
	t.Cleanup(d.moto.Stop)
	d.issuer, err = issuertest.New(issuertest.Config{})
	must(t, err)
	t.Cleanup(func() { _ = d.issuer.Close() })
	d.gateway = httptest.NewServer(http.HandlerFunc(d.serveGateway))
	t.Cleanup(d.gateway.Close)
	d.samDeploy()
	d.readStack()
	d.startFunctions()
	return d
}

// samDeploy prepares the template and deploys it.
func (d *deployment) samDeploy() {
	t := d.t.(*testing.T)
	dir := t.TempDir()
	file := write(t, dir, "template.json", string(d.preparedTemplate(dir)))
	must(t, d.makeBucket("gatepass-deployments"))
	cmd := exec.CommandContext(within(t, 3*time.Minute), venv(t, "sam", "sam"), "deploy",
		"--template-file", file, "--stack-name", d.name, "--s3-bucket", "gatepass-deployments",
		"--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset",
		"--parameter-overrides", "PublicUrl=https://join.example.com", "PrivateIssuers="+d.issuer.Host())
	cmd.Dir, cmd.Env = dir, d.awsEnv(d.moto.URL())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sam deploy: %v\n%s", err, out)
	}
}

// preparedTemplate is the translated template without what moto cannot make.
func (d *deployment) preparedTemplate(dir string) []byte {
	t := d.t.(*testing.T)
	var template map[string]any
	must(t, json.Unmarshal(plainText(t), &template))
	// LICENSE and README.md, for the Serverless Application Repository, relative to template.yaml.
	delete(template, "Metadata")
	resources := template["Resources"].(map[string]any)
	gone := map[string]bool{}
	maps.DeleteFunc(resources, func(_ string, r any) bool {
		kind := r.(map[string]any)["Type"].(string)
		_, not := notInMoto[kind]
		gone[kind] = not
		return not
	})
	for kind, why := range notInMoto {
		if !gone[kind] {
			t.Errorf("the template has no %s any more (%s)", kind, why)
		}
	}
	for function, name := range map[string]string{"JoinFunction": "join", "JwksRefreshFunction": "jwks-refresh"} {
		// What is deployed is not what runs, which the emulators start from its file. So it
		// need not be of the functions' size, or for their architecture.
		code := filepath.Join(dir, name+".zip")
		must(t, os.WriteFile(code, codeOf(t, name), 0o600))
		resources[function].(map[string]any)["Properties"].(map[string]any)["Code"] = code
	}
	// By the template it names the API: moto has none, and the test answers here.
	template["Outputs"].(map[string]any)["JoinUrl"].(map[string]any)["Value"] = d.gateway.URL
	return marshal(t, template)
}

// codeOf is a zip for a function, with something in it.
func codeOf(t *testing.T, function string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("bootstrap")
	must(t, err)
	_, err = f.Write([]byte(function))
	must(t, err)
	must(t, z.Close())
	return b.Bytes()
}

// makeBucket makes the bucket that `sam deploy --resolve-s3` would make.
func (d *deployment) makeBucket(name string) error {
	body := "<CreateBucketConfiguration><LocationConstraint>" + deployRegion + "</LocationConstraint></CreateBucketConfiguration>"
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPut, d.moto.URL()+"/"+name, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/xml")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/"+deployRegion+"/s3/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("making the bucket %s: %s", name, resp.Status)
	}
	return nil
}

// awsEnv is the environment of who calls AWS at an endpoint with the administrator's keys.
func (d *deployment) awsEnv(endpoint string) []string {
	env := slices.DeleteFunc(samEnv(), func(v string) bool { return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "GATEPASS_") })
	return append(env, "AWS_ENDPOINT_URL="+endpoint, "AWS_REGION="+deployRegion, "AWS_DEFAULT_REGION="+deployRegion,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// config is the SDK's, past all recorders.
func (d *deployment) config(provider awssdk.CredentialsProvider) awssdk.Config {
	endpoint := d.moto.URL()
	return awssdk.Config{Region: deployRegion, BaseEndpoint: &endpoint, Credentials: provider}
}

func (d *deployment) admin() awssdk.Config {
	return d.config(credentials.NewStaticCredentialsProvider("local", "local", ""))
}

// readStack reads what the deployment made.
func (d *deployment) readStack() {
	t := d.t.(*testing.T)
	described, err := cloudformation.NewFromConfig(d.admin()).DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: &d.name})
	must(t, err)
	stack := described.Stacks[0]
	d.outputs = map[string]string{"StackId": awssdk.ToString(stack.StackId)}
	for _, o := range stack.Outputs {
		d.outputs[awssdk.ToString(o.OutputKey)] = awssdk.ToString(o.OutputValue)
	}
	if stack.StackStatus != types.StackStatusCreateComplete || len(d.outputs) < 10 {
		t.Fatalf("the stack is %s, with outputs %v", stack.StackStatus, d.outputs)
	}
	d.tables = dynamo.Tables{Resources: d.outputs["ResourcesTable"], KeySets: d.outputs["KeySetsTable"], Joins: d.outputs["JoinsTable"]}
	d.store, err = dynamo.New(dynamo.Config{Client: dynamo.NewClient(d.admin()), Tables: d.tables})
	must(t, err)
}

// startFunctions starts both functions with the environment that the stack gives them.
func (d *deployment) startFunctions() {
	t := d.t.(*testing.T)
	d.roles, d.recorders = map[string]string{}, map[string]*recorder{}
	ca := write(t, t.TempDir(), "issuer-ca.pem", string(d.issuer.CA()))
	var refreshARN string
	d.refreshEnv, refreshARN = d.functionEnv(callerRefresh, d.outputs["RefreshFunction"])
	d.refreshEnv[jwks.EnvIssuerCA] = ca // which is the file of a layer, else
	d.joinEnv, _ = d.functionEnv(callerJoin, d.outputs["JoinFunction"])

	invoked := map[string]*awstest.Emulator{}
	d.invocations = awstest.Invocations(invoked)
	t.Cleanup(d.invocations.Close)
	for _, caller := range []string{callerJoin, callerRefresh, callerAdmin} {
		d.recorders[caller] = (&recorder{tables: d.tables, stack: d.outputs["StackId"], tags: d.tagsOf}).start(t, d.moto.URL(), d.invocations.URL)
	}
	d.refreshEnv["AWS_ENDPOINT_URL"] = d.recorders[callerRefresh].URL
	d.joinEnv["AWS_ENDPOINT_URL"] = d.recorders[callerJoin].URL
	d.refresh = d.start(bootstrap(t, "jwks-refresh"), d.refreshEnv)
	invoked[refreshARN], invoked[d.outputs["RefreshFunction"]] = d.refresh, d.refresh
	d.join = d.startJoin()
	d.ctlEnv = d.awsEnv(d.recorders[callerAdmin].URL)
}

// functionEnv is the environment that the stack gives a function, whose role it notes.
func (d *deployment) functionEnv(caller, function string) (env map[string]string, arn string) {
	out, err := awslambda.NewFromConfig(d.admin()).GetFunctionConfiguration(d.t.Context(), &awslambda.GetFunctionConfigurationInput{FunctionName: &function})
	lambdaMust(d.t, err)
	d.roles[caller] = awssdk.ToString(out.Role)
	env = maps.Clone(out.Environment.Variables)
	env["AWS_REGION"] = deployRegion
	return env, awssdk.ToString(out.FunctionArn)
}

// ctl is gatepassctl on the stack, by the administrator's recorder.
func (d *deployment) ctl(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t, "gatepassctl"), append(args, "--stack", d.name)...)
	cmd.Env = d.ctlEnv
	return cmd
}

// mustCtl runs gatepassctl, which must succeed, and returns its standard output.
func (d *deployment) mustCtl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := d.ctl(t, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("gatepassctl %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// serveGateway is what API Gateway is to the client: requests become events.
func (d *deployment) serveGateway(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		return // the client has gone
	}
	answer, err := d.join.emulator.Invoke(r.Context(), d.join.event(r.Method, r.URL.Path, body.String()))
	var event struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	if err == nil {
		err = json.Unmarshal(answer, &event)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for name, value := range event.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(event.StatusCode)
	_, _ = w.Write([]byte(event.Body)) // the client may have gone
}

// policies are all that a function's role, as it was deployed, has of policies.
func (d *deployment) policies(ctx context.Context, t *testing.T, caller string) (all []statement) {
	t.Helper()
	client, role := iam.NewFromConfig(d.admin()), d.roles[caller][strings.LastIndex(d.roles[caller], "/")+1:]
	inline, err := client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &role})
	must(t, err)
	for _, name := range inline.PolicyNames {
		out, err := client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
		must(t, err)
		all = append(all, policyText(t, awssdk.ToString(out.PolicyDocument))...)
	}
	attached, err := client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &role})
	must(t, err)
	for _, policy := range attached.AttachedPolicies {
		all = append(all, d.managedPolicy(ctx, t, awssdk.ToString(policy.PolicyArn))...)
	}
	return all
}

// managedPolicy is what a policy says that stands by itself.
func (d *deployment) managedPolicy(ctx context.Context, t *testing.T, arn string) []statement {
	t.Helper()
	client := iam.NewFromConfig(d.admin())
	policy, err := client.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
	must(t, err)
	version, err := client.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: policy.Policy.DefaultVersionId})
	must(t, err)
	return policyText(t, awssdk.ToString(version.PolicyVersion.Document))
}

// policyText reads a document as IAM answers with it.
func policyText(t *testing.T, escaped string) []statement {
	t.Helper()
	text, err := url.QueryUnescape(escaped)
	must(t, err)
	return statements(t, json.RawMessage(text))
}

// keyPolicies are the policies of the authorities' keys, by ARN.
func (d *deployment) keyPolicies(ctx context.Context, t *testing.T) map[string][]statement {
	t.Helper()
	client, all := awskms.NewFromConfig(d.admin()), map[string][]statement{}
	for output, key := range d.outputs {
		if !strings.HasPrefix(output, "Key") || !strings.HasPrefix(key, "arn:aws:kms:") {
			continue
		}
		out, err := client.GetKeyPolicy(ctx, &awskms.GetKeyPolicyInput{KeyId: &key, PolicyName: awssdk.String("default")})
		must(t, err)
		all[key] = statements(t, json.RawMessage(awssdk.ToString(out.Policy)))
	}
	return all
}

// keyPolicy is the policy of a key, whoever made it.
func (d *deployment) keyPolicy(t *testing.T, key string) []statement {
	t.Helper()
	out, err := awskms.NewFromConfig(d.admin()).GetKeyPolicy(t.Context(), &awskms.GetKeyPolicyInput{KeyId: &key, PolicyName: awssdk.String("default")})
	must(t, err)
	return statements(t, json.RawMessage(awssdk.ToString(out.Policy)))
}

// tagsOf are a key's tags; none if it cannot be told.
func (d *deployment) tagsOf(key string) map[string]string {
	tags := map[string]string{}
	out, err := awskms.NewFromConfig(d.admin()).ListResourceTags(context.Background(), &awskms.ListResourceTagsInput{KeyId: &key})
	if err != nil {
		return tags
	}
	for _, tag := range out.Tags {
		tags[awssdk.ToString(tag.TagKey)] = awssdk.ToString(tag.TagValue)
	}
	if len(tags) > 0 {
		noteTags(key, tags)
	}
	return tags
}

// keyAllows tells whether a key's policy lets a caller make a call: by name, or, as
// its account, by the caller's own policies.
func keyAllows(t *testing.T, policy []statement, role string, c awsCall) bool {
	t.Helper()
	account := "arn:aws:iam::" + deployAccount + ":root"
	return allows(t, slices.DeleteFunc(slices.Clone(policy), func(s statement) bool {
		who := s.Principal.(map[string]any)["AWS"]
		return who != role && who != account
	}), c)
}
