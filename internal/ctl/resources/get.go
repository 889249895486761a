package resources

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// getFlags are what get has been told beside names.
type getFlags struct {
	filter   admin.Filter
	selector string
	table    bool // even of one resource
	names    bool // nothing but names
}

func (c *commands) getCommand() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get KIND[/NAME]…",
		Short: "show stored resources",
		Long: `get shows resources: all of a kind, some by name or by a pattern such as shop-*, or
get all. The YAML it writes is what apply -f reads. --bot and --role choose all
that has to do with a bot or a role.`,
		Example: `  gatepassctl get token --data ./gatepass-data
  gatepassctl get token/example-bot
  gatepassctl get tokens 'shop-*' --bot shop --method circleci
  gatepassctl get all --selector team=shop -o yaml`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeID,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Missing(cmd, "KIND or KIND/NAME")
			}
			return c.get(cmd, args, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.filter.Bot, "bot", "", "only this bot, its token rules, its roles, and what locks it")
	flags.StringVar(&f.filter.Role, "role", "", "only this role, its bots, their token rules, and what locks it")
	flags.StringVar(&f.filter.Method, "method", "", "only token rules of this join method: "+strings.Join(provider.Methods(), " or "))
	flags.StringVarP(&f.selector, "selector", "l", "", "only what carries these labels: label=value[,label=value]")
	cli.Complete(cmd, "method", provider.Methods()...)
	ctl.CompleteFlag(cmd, "bot", c.CompleteName(rules.KindBot))
	ctl.CompleteFlag(cmd, "role", c.CompleteName(rules.KindRole))
	cli.OutputFlag(cmd, "table, yaml, json, or name for nothing but names", func(s string) {
		f.table, f.names, c.Format = s == "table", s == "name", s
		if f.table || f.names {
			c.Format = "text"
		}
	}, "table", "yaml", "json", "name", "text")
	return cmd
}

func (c *commands) get(cmd *cobra.Command, args []string, f getFlags) error {
	refs, err := parseRefs(args)
	if err != nil {
		return err
	}
	if err := f.check(refs); err != nil {
		return err
	}
	b, err := c.Open(cmd.Context())
	if err != nil {
		return err
	}
	defer b.Close()
	if filtered := f.selector != "" || f.filter.Relates() || f.filter.Method != ""; len(refs) == 1 && refs[0].one() && !filtered {
		stored, err := b.Store().Get(cmd.Context(), refs[0].kind, refs[0].name)
		if err != nil {
			return notStored(cmd.Context(), b.Store(), refs[0].kind, refs[0].name, err)
		}
		if !f.table && !f.names {
			return c.printResource(stored.Resource)
		}
		return c.printList([]store.Stored{stored}, f)
	}
	var read []rules.Kind
	for _, r := range refs {
		read = append(read, r.kind)
	}
	if f.filter.Relates() {
		read = ctl.Kinds()
	}
	state, err := admin.Read(cmd.Context(), b.Store(), read...)
	if err != nil {
		return err
	}
	if err := ctl.KnownIf(cmd.Context(), b.Store(), rules.KindBot, f.filter.Bot); err != nil {
		return err
	}
	if err := ctl.KnownIf(cmd.Context(), b.Store(), rules.KindRole, f.filter.Role); err != nil {
		return err
	}
	chosen, err := choose(state, refs, f.filter)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		if err := selectable(state, f.filter.Labels); err != nil {
			return err
		}
	}
	if err := c.printList(chosen, f); err != nil {
		return err
	}
	return state.Invalid(nil)
}

func (f *getFlags) check(refs []ref) error {
	if f.selector != "" {
		var err error
		if f.filter.Labels, err = parseSelector(f.selector); err != nil {
			return err
		}
	}
	if m := f.filter.Method; m != "" && provider.Of(m) == nil {
		return cli.Misused("unknown join method %q", m).Hint("write --method %s", strings.Join(provider.Methods(), " or --method "))
	}
	for _, r := range refs {
		if _, err := r.matches("x"); err != nil {
			return cli.Misused("%q is no pattern", r.name).Hint("write * for any characters and ? for one")
		}
	}
	return nil
}

// choose returns what was asked for, once each, by kind and name. Whoever asks
// for one by its name is told if it does not exist, or does not fit.
func choose(state admin.State, refs []ref, filter admin.Filter) ([]store.Stored, error) {
	var chosen []store.Stored
	found := map[ref]bool{}
	for _, stored := range state.Choose(filter) {
		kind, name := stored.Resource.Kind(), stored.Resource.Name()
		wanted := false
		for _, r := range refs {
			matches, err := r.matches(name)
			if err != nil {
				return nil, err
			}
			if r.kind == kind && matches {
				wanted, found[r] = true, true
			}
		}
		if wanted {
			chosen = append(chosen, stored)
		}
	}
	var missing []string
	var near string
	for _, r := range refs {
		if r.one() && !found[r] {
			near = cmp.Or(near, nearest(r, state.Choose(admin.Filter{})))
			missing = append(missing, r.String()+" does not exist, or does not fit the filters")
			if _, ok := state.Get(r.kind, r.name); !ok {
				missing[len(missing)-1] = r.String() + " does not exist"
			}
		}
	}
	if len(missing) > 0 {
		return nil, cli.Failed("%s", atMost(missing)).Hint("%ssee what there is with gatepassctl get all", near)
	}
	return chosen, nil
}

func (c *commands) printResource(r rules.Resource) error {
	encoded, err := resourceJSON(r)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return c.Print(encoded, nil)
	}
	text, err := rules.MarshalYAML(r)
	if err != nil {
		return err
	}
	_, err = c.Out.Write(text)
	return err
}

func (c *commands) printList(all []store.Stored, f getFlags) error {
	switch {
	case f.names:
		for _, s := range all {
			fmt.Fprintf(c.Out, "%s/%s\n", s.Resource.Kind(), s.Resource.Name())
		}
		return nil
	case c.Format == "yaml":
		for i, s := range all {
			if i > 0 {
				fmt.Fprintln(c.Out, "---")
			}
			if err := c.printResource(s.Resource); err != nil {
				return err
			}
		}
		return nil
	}
	resources := make([]rules.Resource, len(all))
	for i, s := range all {
		resources[i] = s.Resource
	}
	encoded, err := resourcesJSON(resources)
	if err != nil {
		return err
	}
	return c.Print(encoded, func() { c.printTables(all) })
}

// printTables prints a table for each kind. Of several, names have their kind before them.
func (c *commands) printTables(all []store.Stored) {
	if len(all) == 0 {
		fmt.Fprintln(c.Err, "there are none")
		return
	}
	several := slices.ContainsFunc(all, func(s store.Stored) bool { return s.Resource.Kind() != all[0].Resource.Kind() })
	for len(all) > 0 {
		kind := all[0].Resource.Kind()
		rows := [][]string{slices.Concat([]string{"NAME"}, columns[kind].head, []string{"CHANGED"})}
		for len(all) > 0 && all[0].Resource.Kind() == kind {
			name := all[0].Resource.Name()
			if several {
				name = string(kind) + "/" + name
			}
			rows = append(rows, slices.Concat([]string{name}, columns[kind].cells(all[0].Resource), []string{ctl.Ago(c.Now(), all[0].UpdatedAt)}))
			all = all[1:]
		}
		c.Table(rows)
		if len(all) > 0 {
			fmt.Fprintln(c.Out)
		}
	}
}

// columns are what a list shows of each kind.
var columns = map[rules.Kind]struct {
	head  []string
	cells func(rules.Resource) []string
}{
	rules.KindBot: {[]string{"ROLES"}, func(r rules.Resource) []string {
		return []string{cmp.Or(strings.Join(r.(*rules.Bot).Roles, ","), "-")}
	}},
	rules.KindToken: {[]string{"METHOD", "BOT", "RULES", "EXPIRES"}, func(r rules.Resource) []string {
		t := r.(*rules.TokenRule)
		expires := "never"
		if e := t.Metadata.Expires; !e.IsZero() {
			expires = ctl.Stamp(e)
		}
		return []string{t.JoinMethod, t.BotName, fmt.Sprint(len(t.Section().Allow)), expires}
	}},
	rules.KindRole: {[]string{"LOGINS", "ON HOSTS WITH", "DB USERS", "KUBERNETES GROUPS"}, func(r rules.Resource) []string {
		a := r.(*rules.Role).Allow
		return []string{cmp.Or(strings.Join(a.Logins, ","), "-"), cmp.Or(a.Hosts(), "-"), cmp.Or(strings.Join(a.DBUsers, ","), "-"), cmp.Or(strings.Join(a.KubernetesGroups, ","), "-")}
	}},
	rules.KindLock: {[]string{"STOPS", "EXPIRES", "MESSAGE"}, func(r rules.Resource) []string {
		l := r.(*rules.Lock)
		expires := "when removed"
		if !l.Expires.IsZero() {
			expires = ctl.Stamp(l.Expires)
		}
		return []string{admin.TargetID(l.Target), expires, cmp.Or(l.Message, "-")}
	}},
}
