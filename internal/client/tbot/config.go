// Package tbot reads the configuration files of Teleport's tbot (version v2),
// so that who comes from there can start with the file at hand. What has no
// meaning here is refused by name, or warned of where leaving it out is harmless.
package tbot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Config is what a file asks for.
type Config struct {
	Server      string // proxy_server or auth_server
	Token       string
	JoinMethod  string
	Audience    string        // the ID token's
	IDTokenFile string        // where the ID token is
	TTL         time.Duration // the shortest that any output asks for; zero if none does
	Renewal     time.Duration // the shortest renewal_interval; zero if none is given
	Oneshot     bool
	Outputs     []*credentials.Wish
	Warnings    []string
}

// file is the document. A field that is a yaml.Node is known and not obeyed.
type file struct {
	Version     string     `yaml:"version"`
	ProxyServer string     `yaml:"proxy_server"`
	AuthServer  string     `yaml:"auth_server"`
	Onboarding  onboarding `yaml:"onboarding"`
	Oneshot     bool       `yaml:"oneshot"`
	Storage     storage    `yaml:"storage"`
	Outputs     []entry    `yaml:"outputs"`
	Services    []entry    `yaml:"services"`

	CredentialTTL   duration `yaml:"credential_ttl"`
	CertificateTTL  duration `yaml:"certificate_ttl"`
	RenewalInterval duration `yaml:"renewal_interval"`

	Debug    yaml.Node `yaml:"debug"`
	DiagAddr yaml.Node `yaml:"diag_addr"`
	FIPS     yaml.Node `yaml:"fips"`
}

type onboarding struct {
	Token      string    `yaml:"token"`
	JoinMethod string    `yaml:"join_method"`
	CAPins     yaml.Node `yaml:"ca_pins"`
	CAPath     yaml.Node `yaml:"ca_path"`
	// tbot does not know these: what --audience and --id-token-file say.
	Audience    string `yaml:"audience"`
	IDTokenFile string `yaml:"id_token_file"`
}

type storage struct {
	Type     string    `yaml:"type"`
	Path     yaml.Node `yaml:"path"`
	Symlinks yaml.Node `yaml:"symlinks"`
	ACLs     yaml.Node `yaml:"acls"`
}

type dest struct {
	Type     string     `yaml:"type"`
	Path     string     `yaml:"path"`
	Symlinks string     `yaml:"symlinks"`
	ACLs     string     `yaml:"acls"`
	Readers  []readerOf `yaml:"readers"`
	Owner    string     `yaml:"owner"` // tbot does not know it: what --owner says
}

type readerOf struct {
	User  string `yaml:"user"`
	Group string `yaml:"group"`
}

// duration is written like 15m or 1h.
type duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed < time.Second {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q is not a lifetime; write it like 15m or 1h", node.Line, words.Clean(node.Value))}}
	}
	*d = duration(parsed)
	return nil
}

// maxFile bounds a configuration file.
const maxFile = 256 << 10

// Parse reads one document. The name is the file's, for messages.
func Parse(name string, raw []byte) (*Config, error) {
	if len(raw) > maxFile {
		return nil, cli.Misused("%s: larger than any configuration", name)
	}
	if err := checkTypes(name, raw); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	var f file
	if err := decoder.Decode(&f); err != nil {
		return nil, yamlError(name, err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, cli.Misused("%s: a configuration is one YAML document; more follows after ---", name)
	}
	if err := checkFields(name, slices.Concat(f.Outputs, f.Services)); err != nil {
		return nil, err
	}
	r := reader{name: name}
	config := r.read(&f)
	if r.err != nil {
		return nil, r.err
	}
	return config, nil
}

// checkTypes looks for output types first, since an unsupported one has fields
// that would be reported as unknown.
func checkTypes(name string, raw []byte) error {
	type typed struct {
		Type yaml.Node `yaml:"type"`
	}
	var f struct {
		Outputs  []typed `yaml:"outputs"`
		Services []typed `yaml:"services"`
	}
	if err := yaml.Unmarshal(raw, &f); err != nil {
		return yamlError(name, err)
	}
	names := credentials.KindNames()
	for _, t := range append(f.Outputs, f.Services...) {
		if t.Type.Value != "" && !slices.Contains(names, t.Type.Value) {
			last := len(names) - 1
			return cli.Misused("%s: line %d: output type %s is not supported", name, t.Type.Line, words.Clean(t.Type.Value)).
				Hint("leave the output out, or use one of %s and %s", strings.Join(names[:last], ", "), names[last])
		}
	}
	return nil
}

// yamlError shows a decoding error with the file's name and the line, without
// the decoder's talk of Go types.
func yamlError(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return cli.Misused("%s: the file is empty", name).Hint("see `gatepass start --help` for an example")
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var typed *yaml.TypeError
	if errors.As(err, &typed) && len(typed.Errors) > 0 {
		text = typed.Errors[0]
	}
	if before, _, found := strings.Cut(text, " not found in type"); found {
		text = strings.Replace(before, "field ", "unknown field ", 1)
	}
	if before, _, found := strings.Cut(text, " into "); found {
		text = strings.Replace(before, "cannot unmarshal", "this field cannot hold", 1)
	}
	return wrongLine(name, text)
}

// wrongLine is an error about one line of the file.
func wrongLine(name, text string) error {
	return cli.Misused("%s: %s", name, words.Clean(text)).
		Hint("correct the line, or leave the field out; see `gatepass start --help` for an example")
}
