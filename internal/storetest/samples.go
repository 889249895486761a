package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	workspace = "{922e118c-f34f-4226-a897-0e0afbec553d}"
	project   = "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"

	bitbucketAcme   = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	bitbucketZenith = "https://api.bitbucket.org/2.0/workspaces/zenith/pipelines-config/identity/oidc"
	circleOrg       = "00000000-0000-0000-0000-000000000001"
	circleIssuer    = "https://oidc.circleci.com/org/" + circleOrg
)

// canonical is r as it comes out of the rule language, which is what stores are given.
func canonical[T rules.Resource](t *testing.T, r T) T {
	t.Helper()
	encoded, err := rules.Encode(r)
	check(t, "encoding a sample", err)
	decoded, err := rules.Decode(encoded)
	check(t, "decoding a sample", err)
	return decoded.(T)
}

func bot(t *testing.T, name string, roles ...string) *rules.Bot {
	return canonical(t, &rules.Bot{
		Metadata: rules.Metadata{Name: name},
		Roles:    roles,
		Traits:   []rules.Trait{{Name: "logins", Values: []string{"deploy"}}},
	})
}

func role(t *testing.T, name string) *rules.Role {
	return canonical(t, &rules.Role{
		Metadata: rules.Metadata{Name: name},
		Version:  "v7",
		Allow:    rules.Conditions{Logins: []string{"deploy"}},
	})
}

func lock(t *testing.T, name string) *rules.Lock {
	return canonical(t, &rules.Lock{
		Metadata: rules.Metadata{Name: name},
		Target:   rules.Target{Bot: "example"},
		Message:  "incident 42",
		Expires:  time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	})
}

func bitbucketToken(t *testing.T, name, issuer string) *rules.TokenRule {
	return canonical(t, &rules.TokenRule{
		Metadata:    rules.Metadata{Name: name},
		Roles:       []string{"Bot"},
		JoinMethod:  "bitbucket",
		BotName:     "example",
		MaxJoins:    1,
		MaxTokenAge: time.Hour,
		Sections: rules.Sections{"bitbucket": {
			Settings: values("identity_provider_url", issuer, "audience", "ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d"),
			Allow:    []provider.Values{values("workspace_uuid", workspace, "branch_name", "main")},
			Deny:     []provider.Values{values("branch_name", "legacy")},
		}},
	})
}

func circleToken(t *testing.T, name, issuer string) *rules.TokenRule {
	return canonical(t, &rules.TokenRule{
		Metadata:    rules.Metadata{Name: name},
		Roles:       []string{"Bot"},
		JoinMethod:  "circleci",
		BotName:     "example",
		MaxJoins:    3,
		MaxTokenAge: time.Hour,
		Sections: rules.Sections{"circleci": {
			Settings: values("organization_id", circleOrg, "issuer", issuer),
			Allow:    []provider.Values{values("project_id", project, "vcs_origin", "github.com/acme/shop")},
		}},
	})
}

// values are names with their values, of which empty ones are left out.
func values(pairs ...string) (v provider.Values) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v = append(v, provider.Named{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	return v
}

// unusual resources are legal, and a careless store would change them.
func unusual(t *testing.T) []rules.Resource {
	labels := map[string]string{"empty": "", "unicode": "größe 🚀", "quote": `"'\;--`}
	for i := range 100 {
		labels[fmt.Sprintf("label-%d", i)] = strings.Repeat("v", i)
	}
	return []rules.Resource{
		canonical(t, &rules.Bot{Metadata: rules.Metadata{
			Name:        strings.Repeat("b", 64),
			Description: "größe 🚀 <&> \u2028 \"quoted\" 'single' \\ % _ " + strings.Repeat("long ", 2000),
			Labels:      labels,
		}}),
		canonical(t, &rules.Bot{
			Metadata:      rules.Metadata{Name: "a.b_c-d", Labels: map[string]string{}},
			Roles:         []string{},
			Traits:        []rules.Trait{{Name: "none"}, {Name: "two", Values: []string{"x", "y"}}},
			MaxSessionTTL: 90 * time.Minute,
		}),
		canonical(t, &rules.Role{
			Metadata: rules.Metadata{Name: strings.Repeat("r", 253)},
			Version:  "v3",
			Allow:    rules.Conditions{Logins: []string{"deploy", "{{internal.logins}}"}, DBUsers: []string{"größe"}},
			Deny:     rules.Conditions{Logins: []string{"root"}},
			Options:  rules.Options{MaxSessionTTL: time.Minute, PermitPTY: true, ForceCommand: `echo "it's"`},
		}),
	}
}
