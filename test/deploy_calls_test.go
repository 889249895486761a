package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/dynamo"
)

// The account and region that moto plays.
const (
	deployAccount = "123456789012"
	deployRegion  = "eu-central-1"
)

// awsCall is one question to IAM: may the caller do this? A call to AWS asks one or more.
type awsCall struct {
	Action, Resource string
	// Context is what conditions of policies are about, by their keys.
	Context map[string][]string
}

func (c awsCall) String() string {
	return c.Action + " on " + c.Resource + " with " + jsonText(c.Context)
}

// recorder stands between one caller and AWS, and notes what the caller asks for on
// the wire: that is what IAM sees, whatever the caller's SDK is told to do.
type recorder struct {
	*httptest.Server
	tables dynamo.Tables
	stack  string // ARN
	// tags returns the tags of a KMS key, which conditions can be about; nil if none are.
	tags func(key string) map[string]string
	// names are what the ARNs of resources are noted as; an ARN without a name is noted as it is.
	names map[string]string

	mu    sync.Mutex
	calls []awsCall
	wrong []string // requests that the recorder does not understand
}

// start starts the recorder in front of moto, and of lambda for what is invoked.
func (r *recorder) start(t testing.TB, moto, lambda string) *recorder {
	t.Helper()
	to := func(endpoint string) *httputil.ReverseProxy {
		target, err := url.Parse(endpoint)
		lambdaMust(t, err)
		proxy := httputil.NewSingleHostReverseProxy(target) // The Host header stays: it is signed.
		// A connection that breaks behind it breaks before it, and tells nobody else.
		proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
		proxy.ErrorLog = log.New(io.Discard, "", 0)
		return proxy
	}
	toMoto, toLambda := to(moto), to(lambda)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // the caller has gone
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		service := serviceOf(req)
		r.note(service, req, body)
		if service == "lambda" {
			toLambda.ServeHTTP(w, req)
			return
		}
		toMoto.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

var credentialScope = regexp.MustCompile(`Credential=[^/]+/\d{8}/[^/]+/([a-z0-9-]+)/aws4_request`)

// serviceOf is the service that a request was signed for.
func serviceOf(r *http.Request) string {
	m := credentialScope.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return ""
	}
	return m[1]
}

// note notes the questions of a request.
func (r *recorder) note(service string, req *http.Request, body []byte) {
	var calls []awsCall
	var err error
	_, operation, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	switch service {
	case "dynamodb":
		calls, err = r.dynamoDB(operation, body)
	case "kms":
		calls, err = r.kms(operation, body)
	case "lambda":
		calls, err = lambdaCall(req)
	case "cloudformation":
		var form url.Values
		form, err = url.ParseQuery(string(body))
		calls = []awsCall{{Action: "cloudformation:" + form.Get("Action"), Resource: r.stack}}
	default:
		err = fmt.Errorf("a call to the service %q", service)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range calls {
		if name, ok := r.names[c.Resource]; ok {
			c.Resource = name
		}
		r.calls = append(r.calls, c)
	}
	if err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
}

// recorded returns the calls so far, each once.
func (r *recorder) recorded(t *testing.T) []awsCall {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, wrong := range r.wrong {
		t.Error(wrong)
	}
	seen := map[string]bool{}
	var once []awsCall
	for _, c := range r.calls {
		if !seen[c.String()] {
			seen[c.String()] = true
			once = append(once, c)
		}
	}
	return once
}

// attributes is an item, or a part of one, on the wire.
type attributes map[string]map[string]any

// dynamoRequest is what tells which items a request is about.
type dynamoRequest struct {
	TableName                 string
	Key, Item                 attributes
	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues attributes
	RequestItems              map[string]struct{ Keys []attributes }
	TransactItems             []map[string]dynamoRequest
}

// itemActions are what IAM asks for in place of TransactWriteItems.
var itemActions = map[string]string{"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem"}

func (r *recorder) dynamoDB(operation string, body []byte) (calls []awsCall, err error) {
	var in dynamoRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	add := func(operation, table string, keys ...attributes) {
		call, callErr := r.tableCall(operation, table, keys)
		calls = append(calls, call)
		err = callErr
	}
	switch {
	case operation == "TransactWriteItems":
		for _, item := range in.TransactItems {
			for name, part := range item {
				add(itemActions[name], part.TableName, part.Key, part.Item)
			}
		}
	case operation == "BatchGetItem":
		for table, part := range in.RequestItems {
			add(operation, table, part.Keys...)
		}
	case operation == "Query":
		key, keyErr := queriedKey(in)
		if keyErr != nil {
			return nil, keyErr
		}
		add(operation, in.TableName, key)
	default:
		add(operation, in.TableName, in.Key, in.Item)
	}
	return calls, err
}

var partitionFirst = regexp.MustCompile(`^(#\w+) = (:\w+)(?: |$)`)

// queriedKey is the partition key of a Query, which our own begin with.
func queriedKey(in dynamoRequest) (attributes, error) {
	m := partitionFirst.FindStringSubmatch(in.KeyConditionExpression)
	if m == nil {
		return nil, fmt.Errorf("a Query whose condition is %q: let it begin with the partition key", in.KeyConditionExpression)
	}
	return attributes{in.ExpressionAttributeNames[m[1]]: in.ExpressionAttributeValues[m[2]]}, nil
}

// tableCall is the question about some items of a table. A Scan has no leading keys.
func (r *recorder) tableCall(operation, table string, keys []attributes) (awsCall, error) {
	c := awsCall{
		Action:   "dynamodb:" + operation,
		Resource: tableARN(table),
		Context:  map[string][]string{},
	}
	i := slices.IndexFunc(dynamo.Schema(), func(s dynamo.Table) bool { return r.tables.Named(s) == table })
	if i < 0 {
		return c, fmt.Errorf("%s of the table %q, which is none of the stack's", operation, table)
	}
	for _, key := range keys {
		for _, value := range key[dynamo.Schema()[i].Hash] {
			c.Context["dynamodb:LeadingKeys"] = append(c.Context["dynamodb:LeadingKeys"], fmt.Sprint(value))
		}
	}
	return c, nil
}

func tableARN(name string) string {
	return fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", deployRegion, deployAccount, name)
}

func functionARN(name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", deployRegion, deployAccount, name)
}

func (r *recorder) kms(operation string, body []byte) ([]awsCall, error) {
	var in struct {
		KeyId, SigningAlgorithm, MessageType, KeySpec, KeyUsage string
		Tags                                                    []struct{ TagKey, TagValue string }
	}
	err := json.Unmarshal(body, &in)
	c := awsCall{Action: "kms:" + operation, Resource: in.KeyId, Context: map[string][]string{}}
	for name, value := range map[string]string{
		"SigningAlgorithm": in.SigningAlgorithm, "MessageType": in.MessageType, "KeySpec": in.KeySpec, "KeyUsage": in.KeyUsage,
	} {
		if value != "" {
			c.Context["kms:"+name] = []string{value}
		}
	}
	for _, tag := range in.Tags {
		c.Context["aws:RequestTag/"+tag.TagKey] = []string{tag.TagValue}
		c.Context["aws:TagKeys"] = append(c.Context["aws:TagKeys"], tag.TagKey)
	}
	if in.KeyId != "" && r.tags != nil {
		for name, value := range r.tags(in.KeyId) {
			c.Context["aws:ResourceTag/"+name] = []string{value}
		}
	}
	if c.Resource == "" { // of a call that is about no key
		c.Resource = "*"
	}
	calls := []awsCall{c}
	if operation == "CreateKey" && len(in.Tags) > 0 { // which needs the right to tag as well
		c.Action = "kms:TagResource"
		calls = append(calls, c)
	}
	return calls, err
}

func lambdaCall(r *http.Request) ([]awsCall, error) {
	name, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	name, invokes := strings.CutSuffix(name, "/invocations")
	if !ok || !invokes {
		return nil, fmt.Errorf("a call to Lambda for %s", r.URL.Path)
	}
	if !strings.HasPrefix(name, "arn:") {
		name = functionARN(name)
	}
	return []awsCall{{Action: "lambda:InvokeFunction", Resource: name}}, nil
}
