// Package rotation shows what docs/rotation.md promises: an authority's key is
// replaced while jobs join, on both stores, and none fails; servers accept what each
// phase says; and an administrator who is killed leaves the state before or after.
package rotation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// rules let every job of the issuer have a credential of each kind.
const rules = `
kind: role
version: v7
metadata: {name: deployer}
spec:
  allow:
    logins: [deploy]
    db_users: [app]
    db_names: [orders]
    app_names: [grafana]
    kubernetes_users: [ci]
    jwt_audiences: ["https://vault.example.com"]
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [deployer]}
---
kind: token
version: v2
metadata: {name: bitbucket}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: ` + issuertest.BitbucketHost + `/2.0/workspaces/` + issuertest.Workspace + `/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow: [{workspace_uuid: "` + issuertest.WorkspaceUUID + `"}]
`

// keyFiles are the names of the key files of an authority, without those that are past.
func keyFiles(tb testing.TB, data, purpose string) (names []string) {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Join(data, "authorities"))
	must(tb, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), purpose) && strings.HasSuffix(e.Name(), ".key") {
			names = append(names, e.Name())
		}
	}
	return names
}
