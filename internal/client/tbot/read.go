package tbot

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// reader turns a decoded file into a Config; the first error stays.
type reader struct {
	name     string
	err      error
	warnings []string
}

func (r *reader) refuse(node yaml.Node, field, hint string) {
	if r.err == nil && !node.IsZero() {
		r.err = cli.Misused("%s: line %d: %s has no meaning here", r.name, node.Line, field).Hint("%s", hint)
	}
}

func (r *reader) fail(text, hint string) {
	if r.err == nil {
		r.err = cli.Misused("%s: %s", r.name, text).Hint("%s", hint)
	}
}

// ignore warns of a field that is harmless to leave out.
func (r *reader) ignore(node yaml.Node, field, why string) {
	if !node.IsZero() {
		r.warn(field + " is ignored: " + why)
	}
}

// warn warns once.
func (r *reader) warn(warning string) {
	if !slices.Contains(r.warnings, warning) {
		r.warnings = append(r.warnings, warning)
	}
}

func (r *reader) read(f *file) *Config {
	if f.Version != "v2" {
		r.fail("version must be v2", "write `version: v2`; for a v1 file run `tbot migrate` first")
	}
	config := &Config{
		Server:      f.ProxyServer,
		Token:       f.Onboarding.Token,
		JoinMethod:  f.Onboarding.JoinMethod,
		Audience:    f.Onboarding.Audience,
		IDTokenFile: f.Onboarding.IDTokenFile,
		Renewal:     time.Duration(f.RenewalInterval),
		Oneshot:     f.Oneshot,
	}
	switch {
	case f.ProxyServer != "" && f.AuthServer != "":
		r.fail("proxy_server and auth_server are both given", "keep one; both name the join service here")
	case f.AuthServer != "":
		config.Server = f.AuthServer
	}
	if strings.HasPrefix(f.Onboarding.Token, "/") {
		r.fail("onboarding.token is a path", "write the name of the token rule; it is no secret")
	}
	r.refuse(f.Onboarding.CAPins, "onboarding.ca_pins", "leave it out: the service is known by its https certificate; for a private authority set GATEPASS_CA_FILE")
	r.refuse(f.Onboarding.CAPath, "onboarding.ca_path", "leave it out; for a private authority set GATEPASS_CA_FILE to its PEM file")
	if t := f.Storage.Type; t != "" && t != "memory" {
		r.warn("storage is ignored: gatepass keeps nothing between joins")
	}
	r.ignore(f.Debug, "debug", "there is no debug log")
	r.ignore(f.DiagAddr, "diag_addr", "there is nothing to ask a client for")
	r.ignore(f.FIPS, "fips", "the build decides which cryptography is used")
	if f.CredentialTTL != 0 && f.CertificateTTL != 0 {
		r.fail("credential_ttl and certificate_ttl are both given", "keep credential_ttl; the other is its old name")
	}
	config.TTL = time.Duration(max(f.CredentialTTL, f.CertificateTTL))
	r.outputs(config, append(f.Outputs, f.Services...))
	config.Warnings = r.warnings
	return config
}

func (r *reader) outputs(config *Config, entries []entry) {
	if len(entries) == 0 {
		r.fail("there are no outputs", "add `outputs: [{type: identity, destination: {type: directory, path: ./tbot-user}}]`")
	}
	for _, e := range entries {
		if e.Type == "" {
			r.fail("an output has no type", "write `type: identity`")
		}
		// One ID token makes one join, and a join has one lifetime.
		if ttl := time.Duration(e.TTL); ttl != 0 && (config.TTL == 0 || ttl < config.TTL) {
			config.TTL = ttl
			if len(entries) > 1 {
				r.warn("all outputs get the shortest credential_ttl: " + ttl.String())
			}
		}
		if interval := time.Duration(e.Renewal); interval != 0 && (config.Renewal == 0 || interval < config.Renewal) {
			config.Renewal = interval
		}
		if kind, ok := credentials.FindKind(e.Type); ok {
			config.Outputs = append(config.Outputs, r.wish(kind, &e))
		}
	}
	switch {
	case config.Renewal == 0:
	case config.Oneshot:
		r.warn("renewal_interval is ignored: with oneshot nothing is renewed")
	case config.TTL != 0 && config.Renewal >= config.TTL:
		r.fail("renewal_interval "+config.Renewal.String()+" is not shorter than credential_ttl "+config.TTL.String(), "make it half of credential_ttl, or leave it out")
	}
}

// wish is an output as its flags would have it.
func (r *reader) wish(kind credentials.Kind, e *entry) *credentials.Wish {
	w := credentials.NewWish(kind)
	r.destination(w, e.Destination)
	if err := w.SetRoles(e.Roles); err != nil {
		r.fail(err.Error(), "correct the line")
	}
	r.options(w, e)
	return w
}

func (r *reader) destination(w *credentials.Wish, d dest) {
	r.set(w, "destination", d.Path)
	r.set(w, "owner", d.Owner)
	r.set(w, "acls", d.ACLs)
	switch {
	case d.Type == "memory":
		if d.Path != "" || d.Owner != "" || len(d.Readers) > 0 {
			r.fail("a destination of type memory has a path, an owner or readers", "leave them out, or write `type: directory`")
		}
		r.set(w, "destination", credentials.Memory)
	case d.Type != "directory" && d.Type != "":
		r.fail("destination type "+words.Clean(d.Type)+" is not supported", "write `type: directory` and a path, or `type: memory`")
	case d.Path == "":
		r.fail("a destination has no path", "write `destination: {type: directory, path: ./tbot-user}`")
	}
	switch d.Symlinks {
	case "", "secure", "try-secure":
	case "insecure":
		r.warn("destination.symlinks: insecure is ignored: links that others could have planted are never followed")
	default:
		r.fail("destination.symlinks "+words.Clean(d.Symlinks)+" is not known", "write secure, or leave it out")
	}
	for _, reader := range d.Readers {
		switch {
		case (reader.User == "") == (reader.Group == ""):
			r.fail("a reader of a destination has not one of user and group", "write `readers: [{user: NAME}]` or `readers: [{group: NAME}]`")
		case reader.User != "":
			r.set(w, "reader-user", reader.User)
		default:
			r.set(w, "reader-group", reader.Group)
		}
	}
}
