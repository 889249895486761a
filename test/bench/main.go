// Command bench is make bench: it measures Gatepass on this machine and prints one table, with
// the limit of each figure that has one and whether it is met. It needs Linux and what make
// tools installs; docs/development.md says how to read the table.
//
//	go run ./test/bench [--short | --long] [--json] [--compare FILE] [PART...]
//
// It loads nothing but servers that it starts on loopback, with counts that are fixed
// beforehand, and ends them. Its exit status says whether it could measure, and never what it
// found.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sshdtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		stop()
		os.Exit(1)
	}
}

// part is one chapter of the table.
type part struct {
	name, about string
	run         func(*bench) error
}

var parts = []part{
	{"join", "joins at 1, 8 and 64 at once: the floor, and serve on disk and in memory-backed files", (*bench).joins},
	{"soak", "memory of serve after many joins", (*bench).soak},
	{"tls", "joins by a new TLS connection each", (*bench).newConnections},
	{"guesses", "whether the time of an answer tells a stranger which token rules there are", (*bench).guesses},
	{"lambda", "the functions under Lambda's runtime emulator", (*bench).lambda},
	{"memory", "the function join with the processor time of 128 to 1,769 MB", (*bench).memory},
	{"client", "the client: size, start to credentials, memory", (*bench).client},
	{"refresh", "keys refresh of many issuers", (*bench).refresh},
	{"growth", "a join and commands with little and with much in the store", (*bench).growth},
	{"login", "a login at a real sshd, by a certificate and by a plain key", (*bench).logins},
}

// size is how much a run measures.
type size struct {
	name            string
	joins, rounds   int // joins of a load, and how often each is measured
	soak            int // joins of the soak
	starts          int // of a program
	issuers, logins int
}

var (
	short  = size{"short", 300, 1, 256, 3, 20, 20}
	normal = size{"normal", 2000, 3, 10_000, 30, 1000, 200}
	long   = size{"long", 2000, 3, soakGoal, 30, 1000, 200}
)

// bench is a run.
type bench struct {
	ctx    context.Context
	size   size
	dir    string // on this machine's disk; all of the run is in it
	bin    string // the programs
	issuer *issuertest.Issuer
	table  *Table

	progress io.Writer
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	isShort := flags.Bool("short", false, "measure little, in about a minute: shows that it works")
	isLong := flags.Bool("long", false, "soak with 100,000 joins")
	asJSON := flags.Bool("json", false, "print JSON")
	compare := flags.String("compare", "", "print beside the figures those of a run that printed JSON into `FILE`")
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprintln(progress, "usage: bench [flags] [PART...]")
		flags.PrintDefaults()
		for _, p := range parts {
			fmt.Fprintf(progress, "  %-8s %s\n", p.name, p.about)
		}
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		return err
	}
	if *compare != "" && *asJSON {
		return errors.New("--compare prints a table: leave --json out")
	}
	var before *Table
	if *compare != "" {
		if before, err = readTable(*compare); err != nil {
			return err
		}
	}
	b := &bench{ctx: ctx, size: normal, progress: progress}
	switch {
	case *isShort && *isLong:
		return errors.New("--short and --long: give one of them")
	case *isShort:
		b.size = short
	case *isLong:
		b.size = long
	}
	if err := b.measure(chosen, progress); err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(b.table)
	}
	return b.table.print(out, before)
}

// choose returns the parts with these names; all of them if there are none.
func choose(names []string) ([]part, error) {
	if len(names) == 0 {
		return parts, nil
	}
	var chosen []part
	for _, name := range names {
		found := false
		for _, p := range parts {
			if p.name == name {
				chosen, found = append(chosen, p), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no part %q", name)
		}
	}
	return chosen, nil
}

// measure runs parts one after another. A part whose tools are not installed is left out and
// noted, or with CI set is an error.
func (b *bench) measure(chosen []part, progress io.Writer) (err error) {
	load, err := os.ReadFile("/proc/loadavg") // "0.20 0.18 0.12 1/80 11206", proc(5)
	if err != nil {
		return err
	}
	b.table = &Table{Begun: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Size: b.size.name,
		Load: strings.Join(strings.Fields(string(load))[:3], " ")}
	if b.dir, err = os.MkdirTemp("", "gatepass-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	fmt.Fprintln(progress, "bench: building")
	if err := b.build(); err != nil {
		return err
	}
	if b.issuer, err = issuertest.New(issuertest.Config{Offline: true}); err != nil {
		return err
	}
	for _, p := range chosen {
		fmt.Fprintf(progress, "bench: %s: %s\n", p.name, p.about)
		err := p.run(b)
		missing := errors.Is(err, awstest.ErrUnavailable) || errors.Is(err, sshdtest.ErrUnavailable) || errors.Is(err, errNoLimit)
		if missing && os.Getenv("CI") == "" {
			b.table.note("%s was not measured: %v", p.name, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}
