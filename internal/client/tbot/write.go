package tbot

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Write is the file that Parse reads as the configuration. Texts are in double
// quotes as JSON has them, which YAML reads alike (YAML 1.2 §7.3.1).
func Write(config *Config) []byte {
	w := writer{}
	w.line(0, "version: v2")
	w.text(0, "proxy_server", config.Server)
	w.line(0, "onboarding:")
	w.text(2, "token", config.Token)
	w.text(2, "join_method", config.JoinMethod)
	w.text(2, "audience", config.Audience)
	w.text(2, "id_token_file", config.IDTokenFile)
	w.line(0, "oneshot: %t", config.Oneshot)
	w.duration("credential_ttl", config.TTL)
	w.duration("renewal_interval", config.Renewal)
	w.line(0, "storage:")
	w.line(2, "type: memory")
	w.line(0, "outputs:")
	for _, out := range config.Outputs {
		w.line(2, "- type: %s", out.Kind.Name)
		w.options(out)
		w.list(4, "roles", out.List("roles"))
		w.destination(out)
	}
	return w.out.Bytes()
}

type writer struct{ out bytes.Buffer }

func (w *writer) line(indent int, format string, args ...any) {
	fmt.Fprintf(&w.out, strings.Repeat(" ", indent)+format+"\n", args...)
}

func (w *writer) text(indent int, name, value string) {
	if value != "" {
		w.line(indent, "%s: %s", name, words.YAMLString(value))
	}
}

func (w *writer) list(indent int, name string, values []string) {
	if len(values) == 0 {
		return
	}
	var all []string
	for _, value := range values {
		all = append(all, words.YAMLString(value))
	}
	w.line(indent, "%s: [%s]", name, strings.Join(all, ", "))
}

func (w *writer) duration(name string, d time.Duration) {
	if d != 0 {
		w.line(0, "%s: %s", name, d)
	}
}

// options writes the type's own fields, several values of one as a list.
func (w *writer) options(out *credentials.Wish) {
	for _, option := range out.Kind.Options {
		name := option.FieldName()
		switch {
		case !out.Given(option.Name):
		case option.Opposite:
			w.line(4, "%s: %t", name, out.Text(option.Name) != "true")
		case option.Type == credentials.Many:
			w.list(4, name, out.List(option.Name))
		default:
			w.text(4, name, out.Text(option.Name))
		}
	}
}

func (w *writer) destination(out *credentials.Wish) {
	w.line(4, "destination:")
	path := out.Text("destination")
	if path == credentials.Memory {
		w.line(6, "type: memory")
		return
	}
	w.line(6, "type: directory")
	w.text(6, "path", path)
	w.text(6, "owner", out.Text("owner"))
	if acls := out.Text("acls"); acls != "try" { // which it is anyway
		w.text(6, "acls", acls)
	}
	users, groups := out.List("reader-user"), out.List("reader-group")
	if len(users)+len(groups) == 0 {
		return
	}
	w.line(6, "readers:")
	for _, name := range users {
		w.text(8, "- user", name)
	}
	for _, name := range groups {
		w.text(8, "- group", name)
	}
}
