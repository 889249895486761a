package resources

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (c *commands) editCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit KIND/NAME",
		Short: "change a stored resource in your editor",
		Long: `edit opens a resource in $VISUAL, else $EDITOR, else vi. What you save is validated
as by apply; if it is wrong the editor opens again, with the errors on top. A text
saved as it was stores nothing. What someone else stores meanwhile is never
overwritten: your text is then kept in a file.

The next apply of files that say otherwise is refused, save with --overwrite:
write the change into the files too.`,
		Example: `  gatepassctl edit token/example-bot --data ./gatepass-data
  EDITOR='code --wait' gatepassctl edit role deployer`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeID,
		RunE: func(cmd *cobra.Command, args []string) error {
			refs, err := parseRefs(args)
			if err != nil {
				return err
			}
			if len(refs) != 1 || !refs[0].one() {
				return cli.Misused("edit is for one resource").Hint("write one name, as gatepassctl edit token/example-bot")
			}
			return c.edit(cmd.Context(), refs[0])
		},
	}
	c.OutputFlag(cmd)
	return cmd
}

func (c *commands) edit(ctx context.Context, r ref) error {
	b, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	state, err := admin.Read(ctx, b.Store())
	if err != nil {
		return err
	}
	c.warnInvalid(state.Invalid(nil))
	stored, ok := state.Get(r.kind, r.name)
	if !ok {
		_, err := b.Store().Get(ctx, r.kind, r.name)
		return notStored(ctx, b.Store(), r.kind, r.name, err)
	}
	s, err := c.openSession(r, stored)
	if err != nil {
		return err
	}
	step, err := s.run()
	if err != nil {
		return err
	}
	if step.Action == admin.Unchanged {
		s.remove()
		return c.printUnchanged(b, &plan{state: state, steps: []admin.Step{step}}, r)
	}
	p := &plan{state: state, steps: []admin.Step{step}}
	// The editor had the terminal: what was typed into it is no interrupt of this.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.execute(ctx, b.Store(), p.steps); err != nil {
		return s.keep(err)
	}
	s.remove()
	if err := c.lint(p, false); err != nil {
		return err
	}
	if err := c.printSteps(b, p, done); err != nil {
		return err
	}
	return c.refreshNew(ctx, b, p.steps)
}

func (c *commands) printUnchanged(b ctl.Backend, p *plan, r ref) error {
	reports, err := p.report()
	if err != nil {
		return err
	}
	return c.PrintChange(b, stepsAnswer{reports}, func() { fmt.Fprintf(c.Out, "unchanged  %s\n", r) })
}

// session is a text that is edited until it is right.
type session struct {
	c      *commands
	ref    ref
	stored store.Stored
	dir    string // 0700, for the editor's own files too
	path   string
	clean  []byte // the resource as it is stored
}

func (c *commands) openSession(r ref, stored store.Stored) (*session, error) {
	text, err := rules.MarshalYAML(stored.Resource)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gatepassctl-edit-")
	if err != nil {
		return nil, err
	}
	// A file's name may have 255 bytes, and a resource's alone 253.
	return &session{c: c, ref: r, stored: stored, dir: dir, clean: text,
		path: filepath.Join(dir, fmt.Sprintf("%s-%.200s.yaml", r.kind, r.name))}, nil
}

// maxRounds is how often the editor opens: one that is a program of its own, which
// makes the same mistake each time, would else never end.
const maxRounds = 20

// run has the text edited until it is valid, or whoever edits gives up.
func (s *session) run() (admin.Step, error) {
	text, problems := s.clean, []string(nil)
	for range maxRounds {
		edited, err := s.show(text, problems)
		if err != nil {
			return admin.Step{}, err
		}
		body := withoutNotes(edited)
		if len(problems) > 0 && bytes.Equal(body, text) {
			return admin.Step{}, s.keep(cli.Failed("the text was saved as it was, with the errors above in it; nothing was stored"))
		}
		after, problem := s.parse(body)
		switch {
		case problem == nil && after == nil:
			s.remove()
			return admin.Step{}, cli.Failed("the text was emptied; nothing was stored").Hint("to remove it, write gatepassctl rm %s", s.ref.String())
		case problem == nil:
			return admin.PlanEdit(s.stored, after)
		}
		text, problems = body, strings.Split(problem.Error(), "\n")
		for _, line := range problems {
			fmt.Fprintf(s.c.Err, "%s\n", line)
		}
	}
	return admin.Step{}, s.keep(cli.Failed("the text is still wrong after %d times; nothing was stored", maxRounds))
}

// parse reads one resource with the kind and the name of the one that is edited;
// nil if there is none at all.
func (s *session) parse(body []byte) (rules.Resource, error) {
	documents, warnings, err := rules.Parse(filepath.Base(s.path), body)
	for _, w := range warnings {
		fmt.Fprintf(s.c.Err, "warning: %s\n", w)
	}
	if err != nil || len(documents) == 0 {
		return nil, err
	}
	if len(documents) > 1 {
		return nil, fmt.Errorf("there are %d resources: leave exactly %s; gatepassctl apply -f stores several", len(documents), s.ref)
	}
	after := documents[0].Resource
	if after.Kind() != s.ref.kind || after.Name() != s.ref.name {
		return nil, fmt.Errorf("it must stay %s and is now %s/%s: to rename it, create the other with gatepassctl apply -f, then remove this one",
			s.ref, after.Kind(), after.Name())
	}
	return after, nil
}

const notePrefix = "#| "

// show opens the editor and returns what was saved. Notes are lines of a kind of
// their own, so that comments that someone writes are left alone.
func (s *session) show(text []byte, problems []string) ([]byte, error) {
	var b bytes.Buffer
	for _, line := range problems {
		b.WriteString(notePrefix + line + "\n")
	}
	if len(problems) > 0 {
		b.WriteString(notePrefix + "Nothing is stored yet. Mend it, or save it as it is to give up.\n")
	} else {
		fmt.Fprintf(&b, "%sThis is %s. Save it to store it, leave it as it is to store nothing.\n", notePrefix, s.ref)
	}
	b.Write(text)
	if err := os.WriteFile(s.path, b.Bytes(), 0o600); err != nil {
		s.remove()
		return nil, err
	}
	if err := s.c.runEditor(s.path); err != nil {
		return nil, s.keep(err)
	}
	edited, err := os.ReadFile(s.path)
	if err != nil {
		return nil, s.keep(err)
	}
	return edited, nil
}

func withoutNotes(text []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(strings.TrimSpace(notePrefix))) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// runEditor runs $VISUAL, $EDITOR or vi, which may have arguments of their own, as git does.
func (c *commands) runEditor(path string) error {
	editor := cmp.Or(c.Getenv("VISUAL"), c.Getenv("EDITOR"), "vi")
	cmd := exec.Command("/bin/sh", "-c", editor+` "$@"`, editor, path)
	if runtime.GOOS == "windows" {
		words := append(strings.Fields(editor), path)
		cmd = exec.Command(words[0], words[1:]...)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.In, cli.Unguarded(c.Out), cli.Unguarded(c.Err)
	if err := cmd.Run(); err != nil {
		return cli.Failed("the editor %s failed: %w; nothing was stored", editor, err).Hint("set VISUAL or EDITOR to an editor that waits until the file is closed, such as: export EDITOR=nano")
	}
	return nil
}

// keep leaves the text where it is, if there is anything in it that is not
// stored, and says where; else it removes it.
func (s *session) keep(err error) error {
	text, readErr := os.ReadFile(s.path)
	if readErr != nil || bytes.Equal(bytes.TrimSpace(withoutNotes(text)), bytes.TrimSpace(s.clean)) {
		s.remove()
		return err
	}
	hints := append([]string{"your text is kept in " + s.path + "; see gatepassctl diff -f of it, then apply -f"}, cli.Of(err).Hints...)
	return cli.Failed("%w", err).Hint("%s", strings.Join(hints, "; "))
}

// remove removes the text and what the editor left beside it.
func (s *session) remove() { os.RemoveAll(s.dir) }
