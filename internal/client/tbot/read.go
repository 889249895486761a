package tbot

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// reader turns a decoded file into a Config; the first error stays.
type reader struct {
	name     string
	err      error
	warnings []string
}

func (r *reader) refuse(node yaml.Node, field, hint string) {
	if r.err == nil && !node.IsZero() {
		r.err = usage("%s: line %d: %s has no meaning here", r.name, node.Line, field).Hint("%s", hint)
	}
}

func (r *reader) fail(text, hint string) {
	if r.err == nil {
		r.err = usage("%s: %s", r.name, text).Hint("%s", hint)
	}
}

// ignore warns once of a field that is harmless to leave out.
func (r *reader) ignore(node yaml.Node, field, why string) {
	if node.IsZero() {
		return
	}
	warning := field + " is ignored: " + why
	if !slices.Contains(r.warnings, warning) {
		r.warnings = append(r.warnings, warning)
	}
}

func (r *reader) read(f *file) *Config {
	if f.Version != "v2" {
		r.fail("version must be v2", "write `version: v2`; for a v1 file run `tbot migrate` first")
	}
	config := &Config{
		Server:     f.ProxyServer,
		Token:      f.Onboarding.Token,
		JoinMethod: f.Onboarding.JoinMethod,
		Oneshot:    f.Oneshot,
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
		r.warnings = append(r.warnings, "storage is ignored: gatepass keeps nothing between joins")
	}
	r.ignore(f.RenewalInterval, "renewal_interval", "with oneshot nothing is renewed")
	r.ignore(f.Debug, "debug", "there is no debug log")
	r.ignore(f.DiagAddr, "diag_addr", "with oneshot there is nothing to diagnose")
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
		r.destination(e.Destination)
		r.ignore(e.Renewal, "renewal_interval", "with oneshot nothing is renewed")
		r.ignore(e.Cluster, "cluster", "there are no clusters")
		r.ignore(e.SSHConfig, "ssh_config", "it is always written")
		r.ignore(e.Reissue, "allow_reissue", "credentials are never reissued from one another")
		// One ID token makes one join, and a join has one lifetime.
		if ttl := time.Duration(e.TTL); ttl != 0 && (config.TTL == 0 || ttl < config.TTL) {
			config.TTL = ttl
			if len(entries) > 1 {
				r.warnings = append(r.warnings, "all outputs get the shortest credential_ttl: "+ttl.String())
			}
		}
		config.Outputs = append(config.Outputs, Output{Type: e.Type, Path: e.Destination.Path, Roles: e.Roles})
	}
}

func (r *reader) destination(d dest) {
	switch {
	case d.Type == "memory":
		r.fail("destination type memory holds nothing for another program", "write `type: directory` and a path")
	case d.Type != "directory" && d.Type != "":
		r.fail("destination type "+failure.Clean(d.Type)+" is not supported", "write `type: directory` and a path")
	case d.Path == "":
		r.fail("a destination has no path", "write `destination: {type: directory, path: ./tbot-user}`")
	}
	r.refuse(d.Readers, "destination.readers", "leave it out: files are readable by the user that runs gatepass alone")
	if d.ACLs.Value == "required" {
		r.refuse(d.ACLs, "destination.acls: required", "leave it out: files are readable by the user that runs gatepass alone")
	}
	if d.Symlinks.Value == "insecure" {
		r.ignore(d.Symlinks, "destination.symlinks: insecure", "links that others could have planted are never followed")
	}
}
