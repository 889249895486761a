package resources

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// maxListed is how many problems of a kind an error lists.
const maxListed = 10

// refusal is why the plan may not be made; nil if it may. A dry run tells what
// would be, whether or not it may, save what no flag allows.
func (p *plan) refusal(f applyFlags, now time.Time) error {
	if err := p.exists(f.createOnly); err != nil || f.dryRun {
		return err
	}
	if lines := p.undone(now); len(lines) > 0 && !f.overwrite {
		return cli.Failed("%s; nothing was stored", atMost(lines)).Hint("see what with gatepassctl diff, then write it into the files as well, or write --overwrite to undo it")
	}
	if f.force {
		return nil
	}
	if p.everything {
		removals := 0
		for _, s := range p.steps {
			if s.Action == admin.Remove {
				removals++
			}
		}
		return cli.Failed("everything that carries %s would go: %s; nothing was stored", p.selector, ctl.Plural(removals, "resource", "resources")).Hint("check the files and the selector, or write --force if nothing of it is to be left")
	}
	return p.orphaned("nothing was stored")
}

// exists refuses a plan of create that would change something.
func (p *plan) exists(createOnly bool) error {
	for _, s := range p.steps {
		if createOnly && s.Action != admin.Create {
			return cli.Failed("%s exists already; nothing was stored", s.ID()).Hint("write gatepassctl apply -f to change it")
		}
	}
	return nil
}

// undone tells what was changed by hand and would be undone.
func (p *plan) undone(now time.Time) (lines []string) {
	for _, s := range p.steps {
		if s.Undoes() {
			lines = append(lines, fmt.Sprintf("%s was changed by gatepassctl edit %s, which this would undo", s.ID(), ctl.Ago(now, s.EditedAt)))
		}
	}
	return lines
}

// orphaned refuses to leave someone without what they refer to.
func (p *plan) orphaned(nothing string) error {
	var lines []string
	for _, o := range p.state.Orphans(p.steps) {
		lines = append(lines, fmt.Sprintf("%s is still used by %s", o.ID, shortened(o.UsedBy)))
	}
	if len(lines) > 0 {
		return cli.Failed("%s; %s", atMost(lines), nothing).Hint("remove or change those as well, or write --force: their joins will be refused")
	}
	return nil
}

// atMost joins lines, of many only some.
func atMost(lines []string) string {
	if more := len(lines) - maxListed; more > 0 {
		lines = append(lines[:maxListed:maxListed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

func shortened(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		names = append(names[:maxListed:maxListed], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// findUnlocks fills in what comes of the locks that go.
func (p *plan) findUnlocks(now time.Time) {
	p.unlocks = map[string]string{}
	var stay []*rules.Lock // found once it is known that a lock goes
	for _, s := range p.steps {
		lock, ok := s.Before.(*rules.Lock)
		if !ok || s.Action != admin.Remove {
			continue
		}
		if stay == nil {
			stay = locksOf(p.state.After(p.steps))
		}
		p.unlocks[s.ID()] = admin.Unlocks(lock, stay, now)
	}
}

// locksOf returns the locks among resources; never nil.
func locksOf(all []rules.Resource) []*rules.Lock {
	locks := []*rules.Lock{}
	for _, r := range all {
		if lock, ok := r.(*rules.Lock); ok {
			locks = append(locks, lock)
		}
	}
	return locks
}

// execute makes the steps. What an error left stored is in its message.
func (c *commands) execute(ctx context.Context, s store.Resources, steps []admin.Step) error {
	total := 0
	for _, s := range steps {
		if s.Action != admin.Unchanged {
			total++
		}
	}
	stored, err := admin.Execute(ctx, s, steps, c.Now(), c.Progress("stored", "changes", store.MaxChanges))
	if err == nil {
		return nil
	}
	soFar := "nothing was stored"
	if stored > 0 {
		soFar = fmt.Sprintf("%d of %d changes were stored", stored, total)
	}
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		return cli.Failed("%w; %s", conflict, soFar).Hint("look at it with gatepassctl get, then run the command again")
	}
	if stored > 0 {
		return cli.Failed("%w; %s", err, soFar).Hint("run the command again: it completes what is missing")
	}
	return err
}

// tense is whether something is done or only planned. Of what is planned every field is
// printed, and of what is done those that were changed.
type tense int

const (
	done tense = iota
	dryRun
)

// stepReport is a step for machines.
type stepReport struct {
	Action admin.Action `json:"action"`
	Kind   rules.Kind   `json:"kind"`
	Name   string       `json:"name"`
	// Edited: what was there was written by gatepassctl edit.
	Edited  bool          `json:"edited,omitempty"`
	Unlocks string        `json:"unlocks,omitempty"` // of a lock that goes
	Fields  []admin.Field `json:"fields,omitempty"`
}

func (p *plan) report() ([]stepReport, error) {
	reports := make([]stepReport, len(p.steps))
	for i, s := range p.steps {
		fields, err := s.Fields()
		if err != nil {
			return nil, err
		}
		reports[i] = stepReport{s.Action, s.Kind, s.Name, s.Edited, p.unlocks[s.ID()], fields}
	}
	return reports, nil
}

// stepsAnswer is what commands that change resources print for machines.
type stepsAnswer struct {
	Steps []stepReport `json:"steps"`
}

// printSteps prints the steps, and how many of each kind there were.
func (c *commands) printSteps(b ctl.Backend, p *plan, t tense) error {
	reports, err := p.report()
	if err != nil {
		return err
	}
	return c.PrintChange(b, stepsAnswer{reports}, func() {
		many := count(p.steps)[admin.Unchanged] > ctl.Few
		for i, r := range reports {
			if r.Action != admin.Unchanged || !many {
				c.printStep(r, p.steps[i], t)
			}
		}
		fmt.Fprintln(c.Out, summary(p.steps, t))
	})
}

func count(steps []admin.Step) map[admin.Action]int {
	counts := map[admin.Action]int{}
	for _, s := range steps {
		counts[s.Action]++
	}
	return counts
}

func (c *commands) printStep(r stepReport, s admin.Step, t tense) {
	paint := c.painter()
	note := ""
	switch {
	case s.Action == admin.Adopt:
		note = "  (the files say what gatepassctl edit wrote " + ctl.Ago(c.Now(), s.EditedAt) + ")"
	case s.Undoes():
		note = "  (undoes what gatepassctl edit wrote " + ctl.Ago(c.Now(), s.EditedAt) + ")"
	case r.Unlocks != "":
		note = "  (" + r.Unlocks + ")"
	}
	fmt.Fprintf(c.Out, "%s %s%s\n", paint(ops[s.Action], fmt.Sprintf("%-10s", past(s.Action, t))), s.ID(), note)
	if s.Action == admin.Update || t == dryRun {
		c.printFields(r.Fields)
	}
}

func (c *commands) printFields(fields []admin.Field) {
	paint := c.painter()
	for _, f := range fields {
		var line string
		switch f.Op {
		case admin.Added:
			line = fmt.Sprintf("+ %s: %s", f.Path, readable(f.After))
		case admin.Removed:
			line = fmt.Sprintf("- %s: %s", f.Path, readable(f.Before))
		default:
			line = fmt.Sprintf("~ %s: %s → %s", f.Path, readable(f.Before), readable(f.After))
		}
		fmt.Fprintf(c.Out, "    %s\n", paint(f.Op, line))
	}
}

// painter colours by what happens: green, yellow, red; nothing at all if the
// output is no terminal.
func (c *commands) painter() func(admin.Op, string) string {
	style := c.Style(c.Out)
	colours := map[admin.Op]func(string) string{admin.Added: style.Green, admin.Changed: style.Yellow, admin.Removed: style.Red}
	return func(op admin.Op, s string) string {
		if colour := colours[op]; colour != nil {
			return colour(s)
		}
		return s
	}
}

// ops are what actions are to what is stored; others leave it as it is.
var ops = map[admin.Action]admin.Op{admin.Create: admin.Added, admin.Update: admin.Changed, admin.Remove: admin.Removed}

// readable is a value of a field, in quotes where it could be mistaken.
func readable(v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			parts[i] = readable(element)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		if quoted := strconv.Quote(v); v == "" || quoted[1:len(quoted)-1] != v || strings.TrimSpace(v) != v || strings.Contains(v, ", ") {
			return quoted
		}
		return v
	}
	return fmt.Sprint(v)
}

// summary counts: "1 created, 2 updated, 997 unchanged".
func summary(steps []admin.Step, t tense) string {
	counts := count(steps)
	changes := len(steps) - counts[admin.Unchanged]
	switch {
	case len(steps) == 0:
		return "nothing to do"
	case changes == 0:
		return fmt.Sprintf("nothing changed: %s as the files say", ctl.Plural(len(steps), "resource is", "resources are"))
	case t == dryRun:
		text := fmt.Sprintf("dry run: %s would be stored", ctl.Plural(changes, "change", "changes"))
		if n := counts[admin.Unchanged]; n > 0 {
			text += fmt.Sprintf(", %d unchanged", n)
		}
		return text
	}
	var parts []string
	for _, a := range []admin.Action{admin.Create, admin.Update, admin.Adopt, admin.Remove, admin.Unchanged} {
		if counts[a] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[a], past(a, done)))
		}
	}
	return strings.Join(parts, ", ")
}

func past(a admin.Action, t tense) string {
	switch {
	case t == dryRun || a == admin.Unchanged:
		return string(a)
	case strings.HasSuffix(string(a), "e"):
		return string(a) + "d"
	}
	return string(a) + "ed"
}
