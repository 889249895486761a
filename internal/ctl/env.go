// Package ctl has what the commands of gatepassctl share: their environment, and the
// backend that they work on. The commands themselves are in the packages below it, by noun.
package ctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Env is what every command has.
type Env struct {
	Getenv   func(string) string
	In       io.Reader
	Out, Err io.Writer
	Now      func() time.Time
	// CacheFor is how long functions go by what they read of the authorities' keys.
	CacheFor time.Duration

	// What the flags of every command say.
	Stack, Data, Format string
}

// Execute runs the command of root that args name, and returns the exit code.
func (c *Env) Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	if status, ok := errors.AsType[ExitStatus](err); ok {
		return int(status)
	}
	return c.report(cmd, err)
}

// Confirm asks at a terminal to write word; elsewhere --yes must be written.
func (c *Env) Confirm(what, word string) error {
	in, ok := c.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return Misused("write --yes if that is meant", "%s", strings.ToLower(what[:1])+what[1:])
	}
	fmt.Fprintf(c.Err, "%s. Write %q to go on: ", what, word)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != word {
		return Failed("run it again and write "+word+", or write --yes", "nothing was done")
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
	return Failed("what they were is in the service's log, by their join ids", "%s could not be read", Plural(len(all), "record", "records"))
}

// Join returns the record of a join. The id is what people have: itself, or the key id
// of an SSH certificate, which sshd logs.
func Join(ctx context.Context, joins store.Records, id string) (store.Record, error) {
	record, err := joins.Join(ctx, JoinID(id))
	if errors.Is(err, store.ErrNotFound) {
		err = Failed("a join that was refused before its ID token was verified leaves a line in the service's log only; see gatepassctl joins ls",
			"there is no record of join %s", id)
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
