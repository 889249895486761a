package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

var kinds = []rules.Kind{rules.KindBot, rules.KindToken, rules.KindRole, rules.KindLock}

func (c *cli) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get KIND[/NAME]",
		Short: "show stored resources",
		Example: `  gatepassctl get token --data ./gatepass-data
  gatepassctl get token/example-bot
  gatepassctl get role --format yaml`,
		Args: exactly("KIND or KIND/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := parseID(args[0])
			if err != nil {
				return err
			}
			b, err := c.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			if name == "" {
				all, err := b.store.List(cmd.Context(), kind)
				if err != nil {
					return err
				}
				return c.printList(kind, all)
			}
			stored, err := b.store.Get(cmd.Context(), kind, name)
			if err != nil {
				return notStored(kind, name, err)
			}
			return c.printResource(stored.Resource)
		},
	}
}

func (c *cli) rmCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "rm KIND/NAME",
		Short:   "remove a resource",
		Example: `  gatepassctl rm token/example-bot --data ./gatepass-data`,
		Args:    exactly("KIND/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := parseID(args[0])
			if err != nil {
				return err
			}
			if name == "" {
				return misused("write gatepassctl rm "+string(kind)+"/NAME", "the name is missing")
			}
			return c.remove(cmd, kind, name, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove it even if others refer to it")
	return cmd
}

func (c *cli) remove(cmd *cobra.Command, kind rules.Kind, name string, force bool) error {
	ctx := cmd.Context()
	b, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer b.close()
	step, err := admin.PlanRemove(ctx, b.store, kind, name)
	if err != nil {
		return notStored(kind, name, err)
	}
	stored, err := admin.All(ctx, b.store)
	if err != nil {
		return err
	}
	if orphans := admin.Orphans(stored, kind, name); len(orphans) > 0 && !force {
		return failed("remove or change those first, or write --force: their joins will be refused",
			"%s is still used by %s", step.ID(), strings.Join(orphans, ", "))
	}
	if err := c.execute(ctx, b.store, []admin.Step{step}); err != nil {
		return err
	}
	return c.printSteps([]admin.Step{step}, false)
}

// parseID reads KIND or KIND/NAME; a plural kind is understood.
func parseID(s string) (rules.Kind, string, error) {
	kind, name, slash := strings.Cut(s, "/")
	k := rules.Kind(strings.TrimSuffix(strings.ToLower(kind), "s"))
	if !slices.Contains(kinds, k) {
		return "", "", misused("write bot, token, role or lock, and /NAME for one of them", "unknown kind %q", kind)
	}
	if slash && name == "" {
		return "", "", misused("write "+string(k)+"/NAME, or "+string(k)+" for all", "the name after %s/ is missing", kind)
	}
	return k, name, nil
}

func isNotFound(err error) bool { return errors.Is(err, join.ErrNotFound) }

func notStored(kind rules.Kind, name string, err error) error {
	if isNotFound(err) {
		return failed("see what there is with gatepassctl get "+string(kind), "%s/%s does not exist", kind, name)
	}
	return err
}

func (c *cli) printResource(r rules.Resource) error {
	encoded, err := resourceJSON(r)
	if err != nil {
		return err
	}
	if c.format == "json" {
		return c.print(encoded, nil)
	}
	text, err := rules.MarshalYAML(r)
	if err != nil {
		return err
	}
	_, err = c.out.Write(text)
	return err
}

func (c *cli) printList(kind rules.Kind, all []admin.Stored) error {
	if c.format == "yaml" {
		for i, s := range all {
			if i > 0 {
				fmt.Fprintln(c.out, "---")
			}
			if err := c.printResource(s.Resource); err != nil {
				return err
			}
		}
		return nil
	}
	encoded := make([]json.RawMessage, len(all))
	for i, s := range all {
		var err error
		if encoded[i], err = resourceJSON(s.Resource); err != nil {
			return err
		}
	}
	return c.print(encoded, func() {
		rows := [][]string{append([]string{"NAME"}, append(columns[kind].head, "CHANGED")...)}
		for _, s := range all {
			rows = append(rows, append([]string{s.Resource.Name()}, append(columns[kind].cells(s.Resource), ago(c.now(), s.UpdatedAt))...))
		}
		c.table(rows)
	})
}

// columns are what a list shows of each kind.
var columns = map[rules.Kind]struct {
	head  []string
	cells func(rules.Resource) []string
}{
	rules.KindBot: {[]string{"ROLES"}, func(r rules.Resource) []string {
		return []string{dash(strings.Join(r.(*rules.Bot).Roles, ","))}
	}},
	rules.KindToken: {[]string{"METHOD", "BOT", "RULES", "EXPIRES"}, func(r rules.Resource) []string {
		t := r.(*rules.Token)
		n := 0
		if t.Bitbucket != nil {
			n = len(t.Bitbucket.Allow)
		}
		if t.CircleCI != nil {
			n = len(t.CircleCI.Allow)
		}
		expires := "never"
		if e := t.Metadata.Expires; !e.IsZero() {
			expires = stamp(e)
		}
		return []string{t.JoinMethod, t.BotName, fmt.Sprint(n), expires}
	}},
	rules.KindRole: {[]string{"LOGINS", "DB USERS", "KUBERNETES GROUPS"}, func(r rules.Resource) []string {
		a := r.(*rules.Role).Allow
		return []string{dash(strings.Join(a.Logins, ",")), dash(strings.Join(a.DBUsers, ",")), dash(strings.Join(a.KubernetesGroups, ","))}
	}},
	rules.KindLock: {[]string{"STOPS", "EXPIRES", "MESSAGE"}, func(r rules.Resource) []string {
		l := r.(*rules.Lock)
		expires := "when removed"
		if !l.Expires.IsZero() {
			expires = stamp(l.Expires)
		}
		return []string{admin.TargetID(l.Target), expires, dash(l.Message)}
	}},
}
