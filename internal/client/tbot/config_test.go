package tbot

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
)

// settings are what is set of the outputs, by the names of options.
func settings(wishes []*credentials.Wish) []map[string][]string {
	var all []map[string][]string
	for _, w := range wishes {
		set := map[string][]string{"type": {w.Kind.Name}}
		w.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Changed {
				set[f.Name] = w.List(f.Name)
			}
		})
		all = append(all, set)
	}
	return all
}

// sameOutputs compares outputs by what is set of them.
var sameOutputs = cmp.Transformer("settings", settings)

const head = "version: v2\noneshot: true\nonboarding: {token: t, join_method: circleci}\n"

const outputs = "outputs: [{type: identity, destination: {type: directory, path: ./id}}]\n"

func TestParse(t *testing.T) {
	tests := map[string]struct {
		yaml  string
		fails string // the error
		warns string // the one warning
	}{
		"the guide's file":           {head + "proxy_server: example.com:443\nstorage: {type: memory}\n" + outputs, "", ""},
		"auth_server":                {head + "auth_server: example.com:443\n" + outputs, "", ""},
		"services":                   {head + strings.Replace(outputs, "outputs", "services", 1), "", ""},
		"a directory as storage":     {head + "storage: {type: directory, path: /var/lib/teleport/bot}\n" + outputs, "", "storage is ignored"},
		"a renewal interval":         {head + "renewal_interval: 20m\n" + outputs, "", "renewal_interval is ignored"},
		"debug":                      {head + "debug: true\n" + outputs, "", "debug is ignored"},
		"a cluster":                  {head + "outputs: [{type: identity, cluster: c, destination: {path: x}}]", "", "cluster is ignored"},
		"insecure links":             {head + "outputs: [{type: identity, destination: {path: x, symlinks: insecure}}]", "", "never followed"},
		"acls off":                   {head + "outputs: [{type: identity, destination: {path: x, acls: \"off\"}}]", "", ""},
		"both servers":               {head + "auth_server: a\nproxy_server: b\n" + outputs, "proxy_server and auth_server are both given", ""},
		"both lifetimes":             {head + "credential_ttl: 1h\ncertificate_ttl: 1h\n" + outputs, "are both given", ""},
		"a lifetime in words":        {head + "credential_ttl: soon\n" + outputs, `line 4: "soon" is not a lifetime`, ""},
		"a negative lifetime":        {head + "credential_ttl: -1h\n" + outputs, "is not a lifetime", ""},
		"another version":            {"version: v1\n" + outputs, "version must be v2", ""},
		"no version":                 {outputs, "version must be v2", ""},
		"an unknown field":           {head + "proxy_sever: x\n" + outputs, "f.yaml: line 4: unknown field proxy_sever", ""},
		"an unknown nested field":    {head + "outputs:\n- type: identity\n  destination:\n    paht: x\n", "line 7: unknown field paht", ""},
		"a wrong type":               {head + "proxy_server: [x]\n" + outputs, "line 4: this field cannot hold", ""},
		"a duplicate field":          {head + "version: v2\n" + outputs, `mapping key "version" already defined`, ""},
		"a second document":          {head + outputs + "---\nversion: v2\n", "one YAML document", ""},
		"nothing":                    {"", "the file is empty", ""},
		"not YAML":                   {"\tx", "cannot start any token", ""},
		"ca_pins":                    {"version: v2\nonboarding: {ca_pins: [x]}\n" + outputs, "line 2: onboarding.ca_pins has no meaning here", ""},
		"ca_path":                    {"version: v2\nonboarding: {ca_path: x}\n" + outputs, "onboarding.ca_path has no meaning here", ""},
		"a token from a file":        {"version: v2\nonboarding: {token: /etc/token}\n" + outputs, "onboarding.token is a path", ""},
		"no outputs":                 {head, "there are no outputs", ""},
		"an output without a type":   {head + "outputs: [{destination: {path: x}}]", "no type", ""},
		"an output without a path":   {head + "outputs: [{type: identity}]", "a destination has no path", ""},
		"a database":                 {head + "outputs:\n- type: database\n  service: x\n", "a destination has no path", ""},
		"a database with everything": {head + "outputs: [{type: database, service: pg, username: app, database: orders, format: mongo, server_ca: ca.pem, destination: {path: x}}]", "", "service is ignored"},
		"an application":             {head + "outputs: [{type: application, app_name: grafana, destination: {path: x}}]", "", ""},
		"a cluster's kubeconfig":     {head + "outputs: [{type: kubernetes, kubernetes_cluster: c, disable_exec_plugin: true, destination: {path: x}}]", "", ""},
		"a plugin in words":          {head + "outputs: [{type: kubernetes, disable_exec_plugin: maybe, destination: {path: x}}]", "line 4: disable_exec_plugin must be true or false", ""},
		"a jwt":                      {head + "outputs: [{type: jwt, audience: a, destination: {path: x}}]", "", ""},
		"a field of another type":    {head + "outputs:\n- type: identity\n  username: app\n  destination: {path: x}", "line 6: username of an output of type identity has no meaning", ""},
		"a list for a word":          {head + "outputs: [{type: database, username: [a, b], destination: {path: x}}]", "line 4: username must be one word", ""},
		"a mapping in a list":        {head + "outputs: [{type: identity, ssh_hosts: [{a: b}], destination: {path: x}}]", "ssh_hosts must be one word", ""},
		"an unsupported type":        {head + "outputs:\n- type: ssh_host\n  principals: [x]\n", "f.yaml: line 5: output type ssh_host is not supported", ""},
		"a memory destination":       {head + "outputs: [{type: identity, destination: {type: memory}}]", "", ""},
		"memory with a path":         {head + "outputs: [{type: identity, destination: {type: memory, path: x}}]", "type memory has a path", ""},
		"a Kubernetes secret":        {head + "outputs: [{type: identity, destination: {type: kubernetes_secret, path: x}}]", "kubernetes_secret is not supported", ""},
		"readers":                    {head + "outputs: [{type: identity, destination: {path: x, readers: [{user: u}]}}]", "", ""},
		"a reader of both kinds":     {head + "outputs: [{type: identity, destination: {path: x, readers: [{user: u, group: g}]}}]", "not one of user and group", ""},
		"a reader of no kind":        {head + "outputs: [{type: identity, destination: {path: x, readers: [{}]}}]", "not one of user and group", ""},
		"links in words":             {head + "outputs: [{type: identity, destination: {path: x, symlinks: maybe}}]", "symlinks maybe is not known", ""},
		"acls required":              {head + "outputs: [{type: identity, destination: {path: x, acls: required}}]", "", ""},
		"a renewal after the end":    {"version: v2\ncredential_ttl: 10m\nrenewal_interval: 10m\n" + outputs, "renewal_interval 10m0s is not shorter than credential_ttl 10m0s", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, err := Parse("f.yaml", []byte(test.yaml))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || cli.Of(err).Exit != cli.ExitUsage {
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
`))
	if err != nil || config.TTL != 10*time.Minute || len(config.Outputs) != 2 || config.Outputs[0].List("roles")[0] != "a" || config.Token != "t" || !config.Oneshot {
		t.Errorf("%+v %v", config, err)
	}
}

func TestParseReadsEveryField(t *testing.T) {
	config, err := Parse("f", []byte(`
version: v2
onboarding: {token: t, join_method: circleci, audience: https://join, id_token_file: f}
renewal_interval: 5m
outputs:
- {type: identity, ssh_hosts: ["*.a", b], destination: {path: x, acls: off, owner: "7:8", readers: [{user: u}, {group: g}]}}
- {type: kubernetes, kubernetes_server: https://k, disable_exec_plugin: false, renewal_interval: 4m, destination: {type: memory}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Token: "t", JoinMethod: "circleci", Audience: "https://join", IDTokenFile: "f", Renewal: 4 * time.Minute,
	}
	outputs := []map[string][]string{
		{
			"type": {"identity"}, "destination": {"x"}, "owner": {"7:8"}, "reader-user": {"u"}, "reader-group": {"g"}, "acls": {"off"},
			"ssh-hosts": {"*.a", "b"},
		},
		{"type": {"kubernetes"}, "destination": {"memory://"}, "kubernetes-server": {"https://k"}, "exec-plugin": {"true"}},
	}
	if diff := cmp.Diff(outputs, settings(config.Outputs)); diff != "" {
		t.Error(diff)
	}
	config.Outputs = nil
	if diff := cmp.Diff(want, config); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	if seeds, _ := filepath.Glob("testdata/fuzz/FuzzParse/*"); len(seeds) == 0 {
		f.Fatal("no committed seeds")
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		config, err := Parse("f", raw)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		for _, out := range config.Outputs {
			if !slices.Contains(credentials.KindNames(), out.Kind.Name) {
				t.Errorf("accepted %s", out.Kind.Name)
			}
		}
		// What was read can be written, and is read as the same.
		config.Warnings = nil
		written := Write(config)
		again, err := Parse("f", written)
		if err != nil {
			t.Fatalf("%v:\n%s", err, written)
		}
		again.Warnings = nil
		if diff := cmp.Diff(config, again, cmpopts.EquateEmpty(), sameOutputs); diff != "" {
			t.Errorf("%s\n%s", diff, written)
		}
		if config.TTL < 0 || len(config.Outputs) == 0 {
			t.Errorf("accepted %+v", config)
		}
	})
}
