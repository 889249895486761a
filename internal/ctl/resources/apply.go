// Package resources has the commands of gatepassctl about bots, token rules, roles and
// locks: those that write them, show them, and tell what they decide.
package resources

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// commands are those of this package.
type commands struct{ *ctl.Env }

// Commands are those that write and show resources, tell what rules decide, and stop joins.
func Commands(env *ctl.Env) []*cobra.Command {
	c := &commands{env}
	return []*cobra.Command{
		c.applyCommand(), c.createCommand(), c.diffCommand(), c.getCommand(), c.editCommand(), c.rmCommand(),
		c.newCommand(), c.explainCommand(), c.testCommand(), c.schemaCommand(),
		c.lockCommand(), c.unlockCommand(),
	}
}

// applyFlags are what apply, create and diff have been told.
type applyFlags struct {
	files          []string
	dryRun, strict bool
	createOnly     bool
	overwrite      bool // what was changed by hand
	prune, force   bool
	yes            bool // do not ask before something is pruned
	selector       string

	// What check makes of them.
	selected  admin.Selector // the zero one unless something is to be pruned
	documents []rules.Document
}

func (c *commands) applyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "store bots, token rules, roles and locks as files say",
		Long: `apply stores resources as the files say, and changes nothing that they do not
name. Everything is validated before anything is stored, and up to 100 changes
are stored together or not at all; more are stored in several transactions, and
running the command again completes what was cut short. Only gatepassctl serve
begins a data directory.

What was changed by gatepassctl edit since it was last applied is not undone
unless --overwrite says so. With --prune --selector what carries the labels and
is no longer in the files is removed, once you have confirmed it or written --yes.`,
		Example: `  gatepassctl apply -f rules.yaml --data ./gatepass-data
  gatepassctl apply -f rules/ --dry-run --strict
  gatepassctl apply -f rules/ --prune --selector team=shop --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.apply(cmd.Context(), &f) },
	}
	c.filesFlag(cmd, &f)
	f.addPrune(cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell what would change, field by field, and store nothing")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "refuse what lint warns of")
	cmd.Flags().BoolVar(&f.overwrite, "overwrite", false, "undo what was changed by gatepassctl edit")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask before something is pruned, as with --force")
	cmd.Flags().BoolVar(&f.force, "force", false, "prune what others still refer to, and even everything that carries the labels")
	c.OutputFlag(cmd)
	return cmd
}

func (c *commands) createCommand() *cobra.Command {
	f := applyFlags{createOnly: true}
	cmd := &cobra.Command{
		Use:   "create -f FILE|DIR|-",
		Short: "store resources that do not exist yet",
		Long:  "create is apply for resources that must not exist yet: if one does, nothing is stored.",
		Example: `  gatepassctl create -f bot.yaml --data ./gatepass-data
  gatepassctl create -f new/ --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.apply(cmd.Context(), &f) },
	}
	c.filesFlag(cmd, &f)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell what would be created, field by field, and store nothing")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "refuse what lint warns of")
	c.OutputFlag(cmd)
	return cmd
}

// filesFlag gives a command -f. The flags are checked and the files are read before a
// backend is opened.
func (c *commands) filesFlag(cmd *cobra.Command, f *applyFlags) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err = f.check(cmd); err == nil {
			f.documents, err = c.readDocuments(f.files, f.prune)
		}
		return err
	}
	cmd.Flags().StringArrayVarP(&f.files, "filename", "f", nil, "file, directory with .yaml, .yml and .json files in it or below it, or - for standard input; several")
}

func (f *applyFlags) addPrune(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.prune, "prune", false, "remove what carries the labels of --selector and is not in the files")
	cmd.Flags().StringVarP(&f.selector, "selector", "l", "", "with --prune: label=value[,label=value]")
}

func (c *commands) apply(ctx context.Context, f *applyFlags) error {
	b, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	state, err := admin.Read(ctx, b.Store())
	if err != nil {
		return err
	}
	p, err := c.plan(state, f)
	if err != nil {
		return err
	}
	if err := p.refusal(*f, c.Now()); err != nil {
		return err
	}
	if err := c.lint(p, f.strict); err != nil {
		return err
	}
	if f.dryRun {
		c.warnOf(p)
		return c.printSteps(b, p, dryRun)
	}
	if err := c.confirmPrune(b, p, f); err != nil {
		return err
	}
	if err := c.execute(ctx, b.Store(), p.steps); err != nil {
		return err
	}
	if err := c.printSteps(b, p, done); err != nil {
		return err
	}
	return c.refreshNew(ctx, b, p.steps)
}

// check checks flags against each other.
func (f *applyFlags) check(cmd *cobra.Command) (err error) {
	if err := cli.Required(cmd, "filename"); err != nil {
		return err
	}
	switch {
	case !f.prune && f.selector == "":
		return nil
	case !f.prune:
		return cli.Misused("--selector is for --prune").Hint("write --prune as well")
	case f.selector == "":
		return cli.Misused("--prune needs --selector").Hint("write --prune --selector team=shop: only what carries that label is ever removed")
	}
	f.selected, err = parseSelector(f.selector)
	return err
}

// parseSelector reads --selector.
func parseSelector(s string) (admin.Selector, error) {
	selector, err := admin.ParseSelector(s)
	if err != nil {
		return selector, cli.Misused("--selector %s: %w", s, err).Hint("write --selector label=value, or several as label=value,label=value")
	}
	return selector, nil
}

// confirmPrune asks before resources are removed, which no file names.
func (c *commands) confirmPrune(b ctl.Backend, p *plan, f *applyFlags) error {
	var ids []string
	for _, s := range p.steps {
		if s.Action == admin.Remove {
			ids = append(ids, s.ID())
		}
	}
	if len(ids) == 0 || f.yes || f.force {
		return nil
	}
	return c.Confirm(fmt.Sprintf("This removes %s from %s: %s", ctl.Plural(len(ids), "resource", "resources"), b, shortened(ids)), "prune")
}

// selectable refuses a selector with a label that nothing carries.
func selectable(state admin.State, selector admin.Selector) error {
	label, near := state.Unlabelled(selector)
	if label == "" {
		return nil
	}
	return cli.Failed("nothing carries the label %s", label).Hint("%ssee the labels with gatepassctl get all -o yaml", ctl.DidYouMean("", near))
}

// plan is what is to be done, and to what.
type plan struct {
	state admin.State
	steps []admin.Step
	// everything says that all that carries the selector's labels would go.
	everything bool
	selector   admin.Selector
	unlocks    map[string]string // by the id of each lock that goes
}

// plan compares files with the store: one listing a kind, whatever their number.
func (c *commands) plan(state admin.State, f *applyFlags) (*plan, error) {
	if err := labelled(f.documents, f.selected); err != nil {
		return nil, err
	}
	wanted := resourcesOf(f.documents)
	steps, err := state.Plan(wanted)
	if err != nil {
		return nil, err
	}
	p := &plan{state: state, steps: steps, selector: f.selected}
	if len(wanted) == 0 {
		if err := selectable(state, f.selected); err != nil {
			return nil, err
		}
	}
	pruned := p.state.Prune(wanted, f.selected)
	p.steps, p.everything = append(p.steps, pruned.Removals...), pruned.Everything
	c.warnInvalid(p.state.Invalid(p.steps))
	p.findUnlocks(c.Now())
	return p, nil
}

// warnInvalid tells of what is stored, cannot be decoded and was not asked for.
func (c *commands) warnInvalid(err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(c.Err, "warning: %s\n", line)
	}
}

// labelled refuses resources of files that prune would not find again: the next
// run would leave them behind when they have gone from the files.
func labelled(documents []rules.Document, selector admin.Selector) error {
	if selector.String() == "" {
		return nil
	}
	var lacking []string
	for _, d := range documents {
		if !selector.Selects(d.Resource) {
			lacking = append(lacking, fmt.Sprintf("%s:%d: %s/%s does not carry %s", d.File, d.Line, d.Resource.Kind(), d.Resource.Name(), selector))
		}
	}
	if len(lacking) > 0 {
		return cli.Failed("%s", strings.Join(lacking, "\n")).Hint("write these labels into metadata.labels; nothing was stored. Without them the next --prune would not know that these come from files")
	}
	return nil
}

// lint prints what lint finds in the resources that are about to change, seen
// together with all that are stored. Strict, it looks at those that stay as well:
// what passes must not depend on what is stored already.
func (c *commands) lint(p *plan, strict bool) error {
	looked := map[string]bool{}
	for _, s := range p.steps {
		looked[s.ID()] = strict || s.Action != admin.Unchanged
	}
	found := 0
	alike := counter{}
	for _, f := range rules.Lint(p.state.After(p.steps)) {
		id := string(f.Kind) + "/" + f.Name
		if !looked[id] {
			continue
		}
		if f.Severity > rules.SeverityInfo {
			found++
		}
		where := id
		if f.Field != "" {
			where += ": " + f.Field
		}
		if alike.another(fmt.Sprintf("%s: %s: %s", f.Severity, f.Kind, f.Field)) <= ctl.Few {
			fmt.Fprintf(c.Err, "%s: %s: %s\n", f.Severity, where, f.Message)
		}
	}
	for _, about := range slices.Sorted(maps.Keys(alike)) {
		if more := alike[about] - ctl.Few; more > 0 {
			fmt.Fprintf(c.Err, "%s: %d more like these\n", about, more)
		}
	}
	if strict && found > 0 {
		return cli.Failed("lint found %s; nothing was stored", ctl.Plural(found, "thing", "things")).Hint("mend what is written above, or leave out --strict")
	}
	return nil
}

// counter counts what is alike.
type counter map[string]int

// another counts one more, and returns how many there are.
func (n counter) another(what string) int {
	n[what]++
	return n[what]
}

// refreshNew has the keys fetched of issuers that were not known before, so that
// the first job need not wait for them. The rules are stored whatever comes of it.
func (c *commands) refreshNew(ctx context.Context, b ctl.Backend, steps []admin.Step) error {
	issuers, err := admin.NewIssuers(ctx, b.Store(), steps)
	if err != nil || len(issuers) == 0 {
		return err
	}
	fetched := 0
	for _, r := range b.RefreshNew(ctx, issuers, c.Progress("asked", "issuers", ctl.Few)) {
		switch {
		case r.Err != nil:
			fmt.Fprintf(c.Err, "warning: the keys of %s could not be fetched, and are tried again every 15 minutes: %s\n", r.Issuer, words.Visible(r.Err.Error()))
		case len(issuers) > ctl.Few:
			fetched++
		default:
			fmt.Fprintf(c.Err, "fetched the keys of %s\n", r.Issuer)
		}
	}
	if fetched > 0 {
		fmt.Fprintf(c.Err, "fetched the keys of %d issuers\n", fetched)
	}
	return nil
}
