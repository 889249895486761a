package lambda_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/gatepass-ci/gatepass/internal/lambda"
)

// given are the variables that Lambda sets.
func given() map[string]string {
	return map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session",
	}
}

func TestAWSConfig(t *testing.T) {
	c, err := lambda.AWSConfig(lookup(given()))
	must(t, err)
	got, err := c.Credentials.Retrieve(t.Context())
	must(t, err)
	if c.Region != "eu-central-1" || got.AccessKeyID != "AKID" || got.SecretAccessKey != "secret" || got.SessionToken != "session" {
		t.Errorf("region %s, credentials of %s", c.Region, got.AccessKeyID)
	}
}

func TestWrongAWSConfig(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		env := given()
		delete(env, name)
		if _, err := lambda.AWSConfig(lookup(env)); err == nil || !strings.Contains(err.Error(), name+": is not set") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	env := given()
	env["AWS_USE_FIPS_ENDPOINT"] = "perhaps"
	if _, err := lambda.AWSConfig(lookup(env)); err == nil || !strings.Contains(err.Error(), "AWS_USE_FIPS_ENDPOINT: ") {
		t.Errorf("FIPS %q: %v", env["AWS_USE_FIPS_ENDPOINT"], err)
	}
}

// Where the SDK's clients send their calls.
func TestAWSEndpoints(t *testing.T) {
	for _, tt := range []struct {
		name                string
		env                 map[string]string
		dynamo, kms, lambda string
	}{
		{"none set", nil, "dynamodb.eu-central-1.amazonaws.com", "kms.eu-central-1.amazonaws.com", "lambda.eu-central-1.amazonaws.com"},
		{"FIPS", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "dynamodb-fips.eu-central-1.amazonaws.com", "kms-fips.eu-central-1.amazonaws.com", "lambda-fips.eu-central-1.amazonaws.com"},
		{"one for all", map[string]string{"AWS_ENDPOINT_URL": "https://all.test"}, "all.test", "all.test", "all.test"},
		{"one for KMS", map[string]string{"AWS_ENDPOINT_URL": "https://all.test", "AWS_ENDPOINT_URL_KMS": "https://kms.test"}, "all.test", "kms.test", "all.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := given()
			for name, value := range tt.env {
				t.Setenv(name, value) // the SDK looks whether it is set
				env[name] = value
			}
			c, err := lambda.AWSConfig(lookup(env))
			must(t, err)
			asked := &hosts{}
			c.HTTPClient, c.Retryer = asked, func() aws.Retryer { return aws.NopRetryer{} }
			_, _ = dynamodb.NewFromConfig(c).ListTables(t.Context(), nil)
			_, _ = awskms.NewFromConfig(c).ListKeys(t.Context(), nil)
			_, _ = awslambda.NewFromConfig(c).ListFunctions(t.Context(), nil)
			if got, want := strings.Join(*asked, " "), tt.dynamo+" "+tt.kms+" "+tt.lambda; got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		})
	}
}

// hosts notes which hosts are asked, and answers nothing.
type hosts []string

func (h *hosts) Do(r *http.Request) (*http.Response, error) {
	*h = append(*h, r.URL.Host)
	return nil, http.ErrServerClosed
}
