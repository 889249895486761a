// Package command is a tree of commands with the flags of spf13/pflag: it finds the
// command that a command line names, parses its flags and prints its help. It is small
// because the client is; docs/decisions/0009-client-size.md has the numbers.
package command

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Command is one command. What it shows of itself is exported, so that a generator of
// man pages can walk the tree.
type Command struct {
	Use     string // its name, and what may follow it on a command line
	Aliases []string
	Short   string // one line
	Long    string // in place of Short above the help; optional
	Example string
	Hidden  bool // from help

	// Args refuses words after the flags that the command cannot take; nil takes all.
	Args func(cmd *Command, args []string) error
	// Run does the command's work.
	Run func(ctx context.Context, args []string) error

	flags  *pflag.FlagSet
	parent *Command
	subs   []*Command
}

// Name is the first word of Use.
func (c *Command) Name() string {
	name, _, _ := strings.Cut(c.Use, " ")
	return name
}

// Path is the command as it is typed, from the root on.
func (c *Command) Path() string {
	if c.parent == nil {
		return c.Name()
	}
	return c.parent.Path() + " " + c.Name()
}

// Add puts commands below this one.
func (c *Command) Add(subs ...*Command) {
	for _, sub := range subs {
		sub.parent = c
	}
	c.subs = append(c.subs, subs...)
}

// Commands are those below this one, hidden ones too, by name.
func (c *Command) Commands() []*Command {
	return slices.SortedFunc(slices.Values(c.subs), func(a, b *Command) int { return strings.Compare(a.Name(), b.Name()) })
}

// Flags are the command's own; it inherits none.
func (c *Command) Flags() *pflag.FlagSet {
	if c.flags == nil {
		c.flags = pflag.NewFlagSet(c.Name(), pflag.ContinueOnError)
		c.flags.SetOutput(io.Discard) // errors are returned
		c.flags.SortFlags = false
	}
	return c.flags
}

// Execute runs the command that a command line names, or prints its help.
// flagError words what pflag says of a wrong flag.
func (c *Command) Execute(ctx context.Context, args []string, stdout io.Writer, flagError func(*Command, error) error) error {
	found, args := c.resolve(args)
	help := found.helpFlag()
	if err := found.Flags().Parse(args); err != nil {
		return flagError(found, err)
	}
	if *help {
		return found.Help(stdout)
	}
	words := found.Flags().Args()
	if found.Args != nil {
		if err := found.Args(found, words); err != nil {
			return err
		}
	}
	return found.Run(ctx, words)
}

// resolve goes down the tree by the words of a command line, wherever between the
// flags they are, and returns what is left of it.
func (c *Command) resolve(args []string) (*Command, []string) {
	i := c.firstWord(args)
	if i < 0 {
		return c, args
	}
	sub := c.Find(args[i])
	if sub == nil {
		return c, args
	}
	return sub.resolve(slices.Delete(slices.Clone(args), i, i+1))
}

// Find returns the command of a name or alias below this one, or nil.
func (c *Command) Find(name string) *Command {
	i := slices.IndexFunc(c.subs, func(sub *Command) bool { return sub.Name() == name || slices.Contains(sub.Aliases, name) })
	if i < 0 {
		return nil
	}
	return c.subs[i]
}

// firstWord is the index of the first argument that is neither a flag nor the value of
// one, or -1.
func (c *Command) firstWord(args []string) int {
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		switch arg := args[i]; {
		case !strings.HasPrefix(arg, "-"):
			return i
		case c.wantsValue(arg):
			i++
		}
	}
	return -1
}

// wantsValue reports whether a flag's value is the next argument. A flag that is not
// known counts as such, as it may belong to a command below.
func (c *Command) wantsValue(arg string) bool {
	if strings.Contains(arg, "=") {
		return false
	}
	var flag *pflag.Flag
	if name, long := strings.CutPrefix(arg, "--"); long {
		flag = c.Flags().Lookup(name)
	} else if len(arg) == 2 {
		flag = c.Flags().ShorthandLookup(arg[1:])
	} else {
		return false // -pVALUE, or several letters
	}
	return flag == nil && arg != "-h" && arg != "--help" || flag != nil && flag.NoOptDefVal == ""
}
