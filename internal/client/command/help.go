package command

import (
	"fmt"
	"io"
	"strings"
)

// helpFlag adds --help, after all other flags, unless it is there.
func (c *Command) helpFlag() *bool {
	help := new(bool)
	if c.Flags().Lookup("help") == nil {
		c.flags.BoolVarP(help, "help", "h", false, "help for "+c.Name())
	}
	return help
}

// Help prints what the command does, how it is called, and its flags.
func (c *Command) Help(w io.Writer) error {
	var b strings.Builder
	b.WriteString(c.Description() + "\n\nUsage:\n  " + c.usage() + "\n")
	shown := c.shown()
	if len(shown) > 0 {
		b.WriteString("  " + c.Path() + " [command]\n")
	}
	if len(c.Aliases) > 0 {
		b.WriteString("\nAliases:\n  " + strings.Join(append([]string{c.Name()}, c.Aliases...), ", ") + "\n")
	}
	if c.Example != "" {
		b.WriteString("\nExamples:\n" + c.Example + "\n")
	}
	if len(shown) > 0 {
		b.WriteString("\nAvailable Commands:\n")
		width := 0
		for _, sub := range shown {
			width = max(width, len(sub.Name()))
		}
		for _, sub := range shown {
			fmt.Fprintf(&b, "  %-*s %s\n", width, sub.Name(), sub.Short)
		}
	}
	c.helpFlag()
	b.WriteString("\nFlags:\n" + strings.TrimRight(c.flags.FlagUsages(), " \n") + "\n")
	if len(shown) > 0 {
		b.WriteString("\nUse \"" + c.Path() + " [command] --help\" for more information about a command.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Description is Long, or Short for want of it.
func (c *Command) Description() string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short
}

// usage is the command line that Use stands for.
func (c *Command) usage() string {
	line := c.Use
	if c.parent != nil {
		line = c.parent.Path() + " " + c.Use
	}
	if !strings.Contains(line, "[flags]") {
		line += " [flags]"
	}
	return line
}

// shown are the commands that help lists.
func (c *Command) shown() []*Command {
	var shown []*Command
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			shown = append(shown, sub)
		}
	}
	return shown
}
