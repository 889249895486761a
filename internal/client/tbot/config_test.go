package tbot

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

func identityOnly(kind string) bool { return kind == "identity" }

const head = "version: v2\noneshot: true\nonboarding: {token: t, join_method: circleci}\n"

const outputs = "outputs: [{type: identity, destination: {type: directory, path: ./id}}]\n"

func TestParse(t *testing.T) {
	tests := map[string]struct {
		yaml  string
		fails string // the error
		warns string // the one warning
	}{
		"the guide's file":         {head + "proxy_server: example.com:443\nstorage: {type: memory}\n" + outputs, "", ""},
		"auth_server":              {head + "auth_server: example.com:443\n" + outputs, "", ""},
		"services":                 {head + strings.Replace(outputs, "outputs", "services", 1), "", ""},
		"a directory as storage":   {head + "storage: {type: directory, path: /var/lib/teleport/bot}\n" + outputs, "", "storage is ignored"},
		"a renewal interval":       {head + "renewal_interval: 20m\n" + outputs, "", "renewal_interval is ignored"},
		"debug":                    {head + "debug: true\n" + outputs, "", "debug is ignored"},
		"a cluster":                {head + "outputs: [{type: identity, cluster: c, destination: {path: x}}]", "", "cluster is ignored"},
		"insecure links":           {head + "outputs: [{type: identity, destination: {path: x, symlinks: insecure}}]", "", "never followed"},
		"acls off":                 {head + "outputs: [{type: identity, destination: {path: x, acls: \"off\"}}]", "", ""},
		"both servers":             {head + "auth_server: a\nproxy_server: b\n" + outputs, "proxy_server and auth_server are both given", ""},
		"both lifetimes":           {head + "credential_ttl: 1h\ncertificate_ttl: 1h\n" + outputs, "are both given", ""},
		"a lifetime in words":      {head + "credential_ttl: soon\n" + outputs, `line 4: "soon" is not a lifetime`, ""},
		"a negative lifetime":      {head + "credential_ttl: -1h\n" + outputs, "is not a lifetime", ""},
		"another version":          {"version: v1\n" + outputs, "version must be v2", ""},
		"no version":               {outputs, "version must be v2", ""},
		"an unknown field":         {head + "proxy_sever: x\n" + outputs, "f.yaml: line 4: unknown field proxy_sever", ""},
		"an unknown nested field":  {head + "outputs:\n- type: identity\n  destination:\n    paht: x\n", "line 7: unknown field paht", ""},
		"a wrong type":             {head + "proxy_server: [x]\n" + outputs, "line 4: this field cannot hold", ""},
		"a duplicate field":        {head + "version: v2\n" + outputs, `mapping key "version" already defined`, ""},
		"a second document":        {head + outputs + "---\nversion: v2\n", "one YAML document", ""},
		"nothing":                  {"", "the file is empty", ""},
		"not YAML":                 {"\tx", "cannot start any token", ""},
		"ca_pins":                  {"version: v2\nonboarding: {ca_pins: [x]}\n" + outputs, "line 2: onboarding.ca_pins has no meaning here", ""},
		"ca_path":                  {"version: v2\nonboarding: {ca_path: x}\n" + outputs, "onboarding.ca_path has no meaning here", ""},
		"a token from a file":      {"version: v2\nonboarding: {token: /etc/token}\n" + outputs, "onboarding.token is a path", ""},
		"no outputs":               {head, "there are no outputs", ""},
		"an output without a type": {head + "outputs: [{destination: {path: x}}]", "no type", ""},
		"an output without a path": {head + "outputs: [{type: identity}]", "a destination has no path", ""},
		"a database":               {head + "outputs:\n- type: database\n  service: x\n", "f.yaml: line 5: output type database is not supported by this version; write type: identity", ""},
		"a memory destination":     {head + "outputs: [{type: identity, destination: {type: memory}}]", "destination type memory", ""},
		"a Kubernetes secret":      {head + "outputs: [{type: identity, destination: {type: kubernetes_secret, path: x}}]", "kubernetes_secret is not supported", ""},
		"readers":                  {head + "outputs: [{type: identity, destination: {path: x, readers: [{user: u}]}}]", "destination.readers has no meaning", ""},
		"acls required":            {head + "outputs: [{type: identity, destination: {path: x, acls: required}}]", "acls: required has no meaning", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, err := Parse("f.yaml", []byte(test.yaml), identityOnly)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || failure.Of(err).Kind != failure.Usage {
					t.Errorf("error %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(config.Warnings, "; "); test.warns == "" && got != "" || !strings.Contains(got, test.warns) {
				t.Errorf("warnings %q, want %q", got, test.warns)
			}
		})
	}
}

func TestParseTakesTheShortestLifetime(t *testing.T) {
	config, err := Parse("f", []byte(head+`
credential_ttl: 1h
outputs:
- {type: identity, credential_ttl: 30m, roles: [a], destination: {path: x}}
- {type: identity, credential_ttl: 10m, destination: {path: y}}
`), identityOnly)
	if err != nil || config.TTL != 10*time.Minute || len(config.Outputs) != 2 || config.Outputs[0].Roles[0] != "a" || config.Token != "t" || !config.Oneshot {
		t.Errorf("%+v %v", config, err)
	}
}

func FuzzParse(f *testing.F) {
	if seeds, _ := filepath.Glob("testdata/fuzz/FuzzParse/*"); len(seeds) == 0 {
		f.Fatal("no committed seeds")
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		config, err := Parse("f", raw, identityOnly)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		for _, out := range config.Outputs {
			if out.Type != "identity" || out.Path == "" {
				t.Errorf("accepted %+v", out)
			}
		}
		if config.TTL < 0 || len(config.Outputs) == 0 {
			t.Errorf("accepted %+v", config)
		}
	})
}
