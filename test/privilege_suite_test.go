package test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/lambda"
)

// suite has a recorder for each endpoint of each function that any test started.
var suite struct {
	sync.Mutex
	recorders map[string][]*recorder // by function
	// tags are those of keys that no template names, by ARN.
	tags map[string]map[string]string
}

// noteTags keeps the tags of a key for the end.
func noteTags(key string, tags map[string]string) {
	suite.Lock()
	defer suite.Unlock()
	if suite.tags == nil {
		suite.tags = map[string]map[string]string{}
	}
	suite.tags[key] = tags
}

// asDeployed is a call about a key that a rotation made as the template has it.
func asDeployed(c awsCall) awsCall {
	tags, ok := suite.tags[c.Resource]
	if !ok {
		return c
	}
	c.Context = maps.Clone(c.Context)
	for name, value := range tags {
		c.Context["aws:ResourceTag/"+name] = []string{value}
	}
	c.Resource = strings.Replace(c.Resource, ":"+deployRegion+":", ":eu-west-1:", 1)
	return c
}

// recorded is a function's environment with a recorder in front of each endpoint in
// it. What is called is noted by the names that resources have in the template.
func recorded(t testing.TB, bootstrap string, env map[string]string) map[string]string {
	t.Helper()
	if _, measured := t.(*testing.B); measured {
		return env
	}
	tables := dynamo.Tables{
		Resources: env[lambda.EnvResourcesTable], KeySets: env[lambda.EnvKeySetsTable], Joins: env[lambda.EnvJoinsTable],
	}
	names := map[string]string{
		tableARN(tables.Resources): "ResourcesTable.Arn", tableARN(tables.KeySets): "KeySetsTable.Arn", tableARN(tables.Joins): "JoinsTable.Arn",
		env[lambda.EnvRefresher]: "JwksRefreshFunction.Arn", functionARN(env[lambda.EnvRefresher]): "JwksRefreshFunction.Arn",
	}
	for _, p := range cert.Purposes() {
		names[env[lambda.EnvKey(p)]] = keyResource(p) + ".Arn"
	}
	env = maps.Clone(env)
	for name, endpoint := range env {
		if strings.HasPrefix(name, "AWS_ENDPOINT_URL") {
			r := (&recorder{tables: tables, names: names}).start(t, endpoint, endpoint)
			env[name] = r.URL
			function := filepath.Base(filepath.Dir(bootstrap))
			suite.Lock()
			if suite.recorders == nil {
				suite.recorders = map[string][]*recorder{}
			}
			suite.recorders[function] = append(suite.recorders[function], r)
			suite.Unlock()
		}
	}
	return env
}

// Whatever the functions did in any test before this one, under faults too, their
// roles in the template allow it. Tests run in the order of their files' names.
func TestPrivilegeOfAllCalls(t *testing.T) {
	suite.Lock()
	defer suite.Unlock()
	s := deployed(t)
	for function, role := range map[string]string{callerJoin: "JoinRole", callerRefresh: "JwksRefreshRole"} {
		policies, calls := s.role(role), 0
		for _, r := range suite.recorders[function] {
			for _, c := range r.recorded(t) {
				calls++
				if !allows(t, policies, asDeployed(c)) {
					t.Errorf("%s may not make its call %s", function, c)
				}
			}
		}
		if calls == 0 && os.Getenv("CI") != "" {
			t.Fatalf("no test made %s call anything", function)
		}
		if calls == 0 {
			t.Skipf("skipped: no test before it made %s call anything", function)
		}
		t.Logf("%s: %d calls", function, calls)
	}
}
