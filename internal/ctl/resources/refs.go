package resources

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
	"github.com/spf13/cobra"
)

// ref is what an argument means: a resource, those of a pattern, or a whole kind.
type ref struct {
	kind rules.Kind
	name string // may be a pattern; "" means all
}

func (r ref) String() string { return string(r.kind) + "/" + r.name }

func (r ref) isPattern() bool { return strings.ContainsAny(r.name, "*?[") }

// one tells whether exactly one resource is meant.
func (r ref) one() bool { return r.name != "" && !r.isPattern() }

func (r ref) matches(name string) (bool, error) {
	if !r.isPattern() {
		return r.name == "" || r.name == name, nil
	}
	return path.Match(r.name, name)
}

// parseRefs reads KIND, KIND/NAME…, or KIND NAME…; "all" stands for every kind.
func parseRefs(args []string) ([]ref, error) {
	var refs []ref
	if len(args) > 1 && !strings.Contains(args[0], "/") && args[0] != "all" {
		if bare := slices.ContainsFunc(args[1:], func(s string) bool { return !strings.Contains(s, "/") && !isKind(s) }); bare {
			return namesOf(args[0], args[1:])
		}
	}
	for _, arg := range args {
		if arg == "all" {
			for _, kind := range ctl.Kinds() {
				refs = append(refs, ref{kind: kind})
			}
			continue
		}
		kind, name, err := parseID(arg)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref{kind, name})
	}
	return refs, nil
}

// namesOf reads KIND NAME….
func namesOf(first string, names []string) ([]ref, error) {
	kind, _, err := parseID(first)
	if err != nil {
		return nil, err
	}
	refs := make([]ref, len(names))
	for i, name := range names {
		if strings.Contains(name, "/") {
			return nil, cli.Misused("%q is no name of a %s", name, kind).Hint("write %s/NAME, or %s NAME", kind, kind)
		}
		refs[i] = ref{kind, name}
	}
	return refs, nil
}

func isKind(s string) bool {
	_, _, err := parseID(s)
	return err == nil
}

// parseID reads KIND or KIND/NAME; a plural kind is understood.
func parseID(s string) (rules.Kind, string, error) {
	kind, name, slash := strings.Cut(s, "/")
	k := rules.Kind(strings.TrimSuffix(strings.ToLower(kind), "s"))
	if !slices.Contains(ctl.Kinds(), k) {
		return "", "", cli.Misused("unknown kind %q", kind).Hint("write bot, token, role or lock, and /NAME for one of them")
	}
	if slash && name == "" {
		return "", "", cli.Misused("the name after %s/ is missing", kind).Hint("write %s/NAME, or %s for all", k, k)
	}
	return k, name, nil
}

// notStored is the error of what does not exist, with the nearest name that does.
func notStored(ctx context.Context, s store.ResourceReader, kind rules.Kind, name string, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	stored, _ := s.List(ctx, kind) // it is only for the hint
	return cli.Failed("%s/%s does not exist", kind, name).Hint("%ssee what there is with gatepassctl get %s", nearest(ref{kind, name}, stored), kind)
}

// nearest begins a hint with the resource that was likely meant.
func nearest(r ref, stored []store.Stored) string {
	var names []string
	for _, one := range stored {
		if one.Resource.Kind() == r.kind {
			names = append(names, one.Resource.Name())
		}
	}
	return ctl.DidYouMean(string(r.kind)+"/", words.Nearest(r.name, names))
}

// completeID completes KIND, then KIND/NAME.
func (c *commands) completeID(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() != "rm" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	kind, _, named := strings.Cut(toComplete, "/")
	if !named {
		var offers []string
		for _, kind := range ctl.Kinds() {
			offers = append(offers, string(kind)+"/")
		}
		return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	k, _, err := parseID(kind)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	offers := c.Names(cmd, k)
	for i, name := range offers {
		offers[i] = kind + "/" + name
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// resourceJSON is a resource as JSON for printing.
func resourceJSON(r rules.Resource) (json.RawMessage, error) {
	b, err := rules.Encode(r)
	return json.RawMessage(b), err
}

// resourcesJSON is a list of them.
func resourcesJSON(resources []rules.Resource) ([]json.RawMessage, error) {
	all := make([]json.RawMessage, len(resources))
	for i, r := range resources {
		var err error
		if all[i], err = resourceJSON(r); err != nil {
			return nil, err
		}
	}
	return all, nil
}
