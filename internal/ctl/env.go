// Package ctl has what the commands of gatepassctl share: their environment, and the
// backend that they work on. The commands themselves are in the packages below it, by noun.
package ctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Env is what every command has.
type Env struct {
	cli.Env
	// CacheFor is how long functions go by what they read of the authorities' keys.
	CacheFor time.Duration

	// Lookup finds a variable of the environment, and tells whether it is set; nil if only
	// its value is known.
	Lookup func(string) (string, bool)

	// What the flags of every command say, beside --format.
	Stack, Data string
}

// Execute runs the command of root that args name, and returns the exit code. Whatever a
// command prints, what strangers chose in it moves no terminal.
func (c *Env) Execute(ctx context.Context, root *cobra.Command, args []string) cli.Exit {
	c.Out, c.Err = cli.Guard(c.Out), cli.Guard(c.Err)
	cmd, err := c.Env.Execute(ctx, root, args)
	return c.Report(cmd, hideIDTokens(err))
}

// OutputFlag gives a command the flag -o, the same as --format.
func (c *Env) OutputFlag(cmd *cobra.Command) {
	cli.OutputFlag(cmd, "the same as --format", func(s string) { c.Format = s }, cli.Formats()...)
}

// MayAsk reports whether there is a person to ask.
func (c *Env) MayAsk() bool {
	in, ok := c.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// Confirm asks at a terminal to write word; elsewhere --yes must be written.
func (c *Env) Confirm(what, word string) error {
	if !c.MayAsk() {
		return cli.Misused("%s", strings.ToLower(what[:1])+what[1:]).Hint("write --yes if that is meant")
	}
	fmt.Fprintf(c.Err, "%s. Write %q to go on: ", what, word)
	line, err := bufio.NewReader(c.In).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != word {
		return cli.Failed("nothing was done").Hint("run it again and write %s, or write --yes", word)
	}
	return nil
}

// Command is a command of ours on the same backend, for people to copy.
func (c *Env) Command(args string) string {
	switch {
	case c.Stack != "":
		return "gatepassctl " + args + " --stack " + words.ShellWord(c.Stack)
	case c.Data != "":
		return "gatepassctl " + args + " --data " + words.ShellWord(c.Data)
	}
	return "gatepassctl " + args
}

// Damaged names records that could not be read, and makes the command fail if there
// are any: what it printed is not all.
func (c *Env) Damaged(all []*store.DamagedError) error {
	for _, d := range all {
		c.Warn("%v", d)
	}
	if len(all) == 0 {
		return nil
	}
	return cli.Failed("%s could not be read", Plural(len(all), "record", "records")).Hint("what they were is in the service's log, by their join ids")
}

// Join returns the record of a join. The id is what people have: itself, or the key id
// of an SSH certificate, which sshd logs.
func Join(ctx context.Context, joins store.Records, id string) (store.Record, error) {
	record, err := joins.Join(ctx, JoinID(id))
	if errors.Is(err, store.ErrNotFound) {
		err = cli.Failed("there is no record of join %s", id).Hint("a join that was refused before its ID token was verified leaves a line in the service's log only, and one that was refused again and again is counted in another's record; see gatepassctl joins ls")
	}
	return record, err
}

// JoinID finds the join id in what people have.
func JoinID(s string) string {
	if strings.HasPrefix(s, "gatepass:") {
		s = s[strings.LastIndex(s, ":")+1:]
	}
	return strings.ToUpper(s)
}
