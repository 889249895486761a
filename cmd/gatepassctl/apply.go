package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

type applyFlags struct {
	files          []string
	dryRun, strict bool
	createOnly     bool
}

// resourceCommands are those that read and write resources.
func (c *cli) resourceCommands() []*cobra.Command {
	return []*cobra.Command{c.applyCommand(), c.createCommand(), c.getCommand(), c.rmCommand()}
}

func (c *cli) applyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "store bots, token rules, roles and locks as files say",
		Long: `apply stores resources as the files say, and changes nothing that they do not
name. Everything is validated before anything is stored, and up to 100 changes
are stored together or not at all.`,
		Example: `  gatepassctl apply -f rules.yaml --data ./gatepass-data
  gatepassctl apply -f rules/ --dry-run --strict`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.apply(cmd, f) },
	}
	cmd.Flags().StringArrayVarP(&f.files, "filename", "f", nil, "file, directory of .yaml, .yml and .json files, or - for standard input")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell what would change and store nothing")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "refuse what lint warns of")
	return cmd
}

func (c *cli) createCommand() *cobra.Command {
	f := applyFlags{createOnly: true}
	cmd := &cobra.Command{
		Use:     "create -f FILE",
		Short:   "store resources that do not exist yet",
		Long:    "create is apply for resources that must not exist yet: if one does, nothing is stored.",
		Example: `  gatepassctl create -f bot.yaml --data ./gatepass-data`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.apply(cmd, f) },
	}
	cmd.Flags().StringArrayVarP(&f.files, "filename", "f", nil, "file, directory or - for standard input")
	return cmd
}

func (c *cli) apply(cmd *cobra.Command, f applyFlags) error {
	if err := required(cmd, "filename"); err != nil {
		return err
	}
	wanted, err := c.readResources(f.files)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	b, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer b.close()

	steps, err := admin.Plan(ctx, b.store, wanted)
	if err != nil {
		return err
	}
	if err := checkCreate(f.createOnly, steps); err != nil {
		return err
	}
	if err := c.lint(ctx, b.store, steps, f.strict); err != nil {
		return err
	}
	if !f.dryRun {
		if err := c.execute(ctx, b.store, steps); err != nil {
			return err
		}
	}
	if err := c.printSteps(steps, f.dryRun); err != nil || f.dryRun {
		return err
	}
	return c.refreshNew(ctx, b, steps)
}

func checkCreate(createOnly bool, steps []admin.Step) error {
	for _, s := range steps {
		if createOnly && s.Before != nil {
			return failed("write gatepassctl apply -f to change it", "%s exists already; nothing was stored", s.ID())
		}
	}
	return nil
}

func (c *cli) execute(ctx context.Context, store admin.Resources, steps []admin.Step) error {
	done, err := admin.Execute(ctx, store, steps, c.now())
	if conflict, ok := errors.AsType[*admin.ConflictError](err); ok {
		return failed("look at it with gatepassctl get, then run the command again", "%s; %s stored", conflict, plural(done, "change was", "changes were"))
	}
	return err
}

// lint prints what lint finds in the resources that are about to change, seen
// together with all that are stored.
func (c *cli) lint(ctx context.Context, store admin.Resources, steps []admin.Step, strict bool) error {
	stored, err := admin.All(ctx, store)
	if err != nil {
		return err
	}
	changed := map[string]bool{}
	for _, s := range steps {
		changed[s.ID()] = true
	}
	found := 0
	for _, f := range rules.Lint(admin.After(stored, steps)) {
		id := string(f.Kind) + "/" + f.Name
		if !changed[id] {
			continue
		}
		if f.Severity > rules.SeverityInfo {
			found++
		}
		where := id
		if f.Field != "" {
			where += ": " + f.Field
		}
		fmt.Fprintf(c.err, "%s: %s: %s\n", f.Severity, where, f.Message)
	}
	if strict && found > 0 {
		return failed("mend what is written above, or leave out --strict", "lint found %s; nothing was stored", plural(found, "thing", "things"))
	}
	return nil
}

func (c *cli) printSteps(steps []admin.Step, dryRun bool) error {
	type line struct {
		Action admin.Action `json:"action"`
		Kind   rules.Kind   `json:"kind"`
		Name   string       `json:"name"`
	}
	lines := make([]line, len(steps))
	changes := 0
	for i, s := range steps {
		lines[i] = line{s.Action, s.Kind, s.Name}
		if s.Action != admin.Unchanged {
			changes++
		}
	}
	return c.print(lines, func() {
		for _, s := range steps {
			fmt.Fprintf(c.out, "%-10s %s\n", past(s.Action, dryRun), s.ID())
		}
		if dryRun {
			fmt.Fprintf(c.out, "dry run: %s would be stored\n", plural(changes, "change", "changes"))
		}
	})
}

// refreshNew has the keys fetched of issuers that were not known before, so that
// the first job need not wait for them. The rules are stored whatever comes of it.
func (c *cli) refreshNew(ctx context.Context, b *backend, steps []admin.Step) error {
	if !b.refreshesNew {
		return nil
	}
	issuers, err := admin.NewIssuers(ctx, b.store, steps)
	if err != nil || len(issuers) == 0 {
		return err
	}
	r, err := b.refresher()
	if err != nil {
		return err
	}
	for _, issuer := range issuers {
		if err := r.Refresh(ctx, issuer); err != nil {
			fmt.Fprintf(c.err, "warning: the keys of %s could not be fetched, and are tried again every 15 minutes: %v\n", issuer, err)
			continue
		}
		fmt.Fprintf(c.err, "fetched the keys of %s\n", issuer)
	}
	return nil
}

func past(a admin.Action, dryRun bool) string {
	if dryRun || a == admin.Unchanged {
		return string(a)
	}
	return strings.TrimSuffix(string(a), "e") + "ed"
}

// readResources parses every file whole before anything is done with it.
func (c *cli) readResources(files []string) ([]rules.Resource, error) {
	var all []rules.Resource
	var faults []string
	for _, name := range files {
		paths, err := expand(name)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			resources, err := c.readFile(path)
			if parse, ok := errors.AsType[rules.Errors](err); ok {
				for _, e := range parse {
					faults = append(faults, e.Error())
				}
			} else if err != nil {
				return nil, err
			}
			all = append(all, resources...)
		}
	}
	if len(faults) > 0 {
		return nil, failed("mend the lines above; nothing was stored. The language is in docs/rules.md", "%s", strings.Join(faults, "\n"))
	}
	if len(all) == 0 {
		return nil, failed("write resources as docs/rules.md shows", "%s: no resources in it", strings.Join(files, ", "))
	}
	return all, nil
}

func (c *cli) readFile(path string) ([]rules.Resource, error) {
	data, err := c.readInput(path)
	if err != nil {
		return nil, err
	}
	if path == "-" {
		path = "standard input"
	}
	documents, warnings, err := rules.Parse(path, data)
	for _, w := range warnings {
		fmt.Fprintf(c.err, "warning: %s:%d: %s: %s\n", w.File, w.Line, w.Field, w.Message)
	}
	if err != nil {
		return nil, err
	}
	resources := make([]rules.Resource, len(documents))
	for i, d := range documents {
		resources[i] = d.Resource
	}
	return resources, nil
}

// readInput reads a file, or standard input for "-".
func (c *cli) readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(c.in, maxInput))
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failed("check the path", "%s does not exist", path)
	}
	return data, err
}

// maxInput is how much of standard input is read.
const maxInput = 16 << 20

// expand returns the resource files of a directory and all below it, or the file itself.
func expand(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failed("check the path", "%s does not exist", name)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var paths []string
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			paths = append(paths, path)
		}
		return nil
	})
	return paths, err
}
