package tbot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Write is the file that Parse reads as the configuration. Texts are in double
// quotes as JSON has them, which YAML reads alike (YAML 1.2 §7.3.1).
func Write(config *Config) ([]byte, error) {
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
		w.line(2, "- type: %s", out.Type)
		if err := w.options(out); err != nil {
			return nil, err
		}
		w.list(4, "roles", out.Roles)
		w.destination(out.Destination)
	}
	return w.out.Bytes(), nil
}

type writer struct{ out bytes.Buffer }

func (w *writer) line(indent int, format string, args ...any) {
	fmt.Fprintf(&w.out, strings.Repeat(" ", indent)+format+"\n", args...)
}

// quoted is a text that means itself, whatever is in it.
func quoted(value string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return `""` // a string is always encoded
	}
	return strings.TrimSpace(b.String())
}

func (w *writer) text(indent int, name, value string) {
	if value != "" {
		w.line(indent, "%s: %s", name, quoted(value))
	}
}

func (w *writer) list(indent int, name string, values []string) {
	if len(values) == 0 {
		return
	}
	var all []string
	for _, value := range values {
		all = append(all, quoted(value))
	}
	w.line(indent, "%s: [%s]", name, strings.Join(all, ", "))
}

func (w *writer) duration(name string, d time.Duration) {
	if d != 0 {
		w.line(0, "%s: %s", name, d)
	}
}

// options writes the type's own fields, several values of one as a list.
func (w *writer) options(out Output) error {
	fields := types()[out.Type]
	values := make(map[string][]string)
	for _, option := range out.Options {
		i := slices.IndexFunc(fields, func(f field) bool { return f.flag == option.Flag })
		if i < 0 {
			return usage("an output of type %s in a file has no field for --%s", out.Type, option.Flag).Hint("leave it out")
		}
		values[fields[i].name] = append(values[fields[i].name], option.Value)
	}
	for _, f := range fields {
		switch all := values[f.name]; {
		case len(all) == 0:
		case f.name == fieldDisablePlugin:
			w.line(4, "%s: %t", f.name, all[0] != "true")
		case f.flag == "ssh-hosts":
			w.list(4, f.name, all)
		default:
			w.text(4, f.name, all[0])
		}
	}
	return nil
}

func (w *writer) destination(d Destination) {
	w.line(4, "destination:")
	if d.Path == "" {
		w.line(6, "type: memory")
		return
	}
	w.line(6, "type: directory")
	w.text(6, "path", d.Path)
	w.text(6, "owner", d.Owner)
	w.text(6, "acls", d.ACLs)
	if len(d.ReaderUsers)+len(d.ReaderGroups) == 0 {
		return
	}
	w.line(6, "readers:")
	for _, name := range d.ReaderUsers {
		w.text(8, "- user", name)
	}
	for _, name := range d.ReaderGroups {
		w.text(8, "- group", name)
	}
}
