package command

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// told is what a run of the test's tree came to.
type told struct {
	ran, server string
	quiet       bool
	words       []string
	dash        int
}

var errFlag = errors.New("wrong flag")

// tree is a root with two commands, one of which has a command of its own.
func tree(result *told) *Command {
	var all []*Command
	make := func(use string) *Command {
		c := &Command{Use: use, Short: "does " + use, Args: func(_ *Command, args []string) error {
			if slices.Contains(args, "refused") {
				return errors.New("refused")
			}
			return nil
		}}
		server := c.Flags().StringP("server", "s", "", "where")
		quiet := c.Flags().BoolP("quiet", "q", false, "say nothing")
		c.Run = func(_ context.Context, args []string) error {
			*result = told{c.Path(), *server, *quiet, args, c.Flags().ArgsLenAtDash()}
			return nil
		}
		all = append(all, c)
		return c
	}
	root, join, database, run := make("app"), make("join [database]"), make("database"), make("run [flags] -- COMMAND")
	database.Aliases = []string{"db"}
	run.Flags().SetInterspersed(false)
	run.Example = "  app run -- true"
	secret := make("secret")
	secret.Hidden = true
	join.Add(database)
	root.Add(run, join, secret)
	return root
}

func TestExecute(t *testing.T) {
	for line, want := range map[string]told{
		"":                               {"app", "", false, []string{}, -1},
		"join":                           {"app join", "", false, []string{}, -1},
		"join database":                  {"app join database", "", false, []string{}, -1},
		"join db word":                   {"app join database", "", false, []string{"word"}, -1},
		"join --server x db":             {"app join database", "x", false, []string{}, -1},
		"join -s x db":                   {"app join database", "x", false, []string{}, -1},
		"join -sx db":                    {"app join database", "x", false, []string{}, -1},
		"join --server=x db":             {"app join database", "x", false, []string{}, -1},
		"join --server db":               {"app join", "db", false, []string{}, -1},
		"join --quiet db":                {"app join database", "", true, []string{}, -1},
		"join -q db -s database":         {"app join database", "database", true, []string{}, -1},
		"--server x join":                {"app join", "x", false, []string{}, -1},
		"join -- db":                     {"app join", "", false, []string{"db"}, 0},
		"join other db":                  {"app join", "", false, []string{"other", "db"}, -1},
		"run -q -- ls --server y":        {"app run", "", true, []string{"ls", "--server", "y"}, 0},
		"run -q ls --server y -- z":      {"app run", "", true, []string{"ls", "--server", "y", "--", "z"}, -1},
		"secret":                         {"app secret", "", false, []string{}, -1},
		"database":                       {"app", "", false, []string{"database"}, -1},
		"join --server join db join -q=": {},
	} {
		var got told
		err := tree(&got).Execute(t.Context(), strings.Fields(line), io.Discard, func(*Command, error) error { return errFlag })
		if want.ran == "" {
			if !errors.Is(err, errFlag) || got.ran != "" {
				t.Errorf("%q: %v after %v, want the flag refused", line, err, got)
			}
			continue
		}
		if err != nil || got.ran != want.ran || got.server != want.server || got.quiet != want.quiet || !slices.Equal(got.words, want.words) || got.dash != want.dash {
			t.Errorf("%q: %+v %v, want %+v", line, got, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for line, want := range map[string]string{
		"join refused":       "refused",
		"join db --unknown":  "app join database: unknown flag: --unknown",
		"join --unknown db":  "app join: unknown flag: --unknown",
		"run -x":             "app run: unknown shorthand flag: 'x' in -x",
		"join db --server":   "app join database: flag needs an argument: --server",
		"join db -q=perhaps": `app join database: invalid argument "perhaps" for "-q, --quiet" flag: strconv.ParseBool: parsing "perhaps": invalid syntax`,
	} {
		var got told
		err := tree(&got).Execute(t.Context(), strings.Fields(line), io.Discard, func(c *Command, err error) error {
			return errors.New(c.Path() + ": " + err.Error())
		})
		if err == nil || err.Error() != want || got.ran != "" {
			t.Errorf("%q: %v after %v, want %s", line, err, got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for line, want := range map[string]string{
		"--help": `does app

Usage:
  app [flags]
  app [command]

Available Commands:
  join does join [database]
  run  does run [flags] -- COMMAND

Flags:
  -s, --server string   where
  -q, --quiet           say nothing
  -h, --help            help for app

Use "app [command] --help" for more information about a command.
`,
		"join -h database --server x": `does database

Usage:
  app join database [flags]

Aliases:
  database, db

Flags:
  -s, --server string   where
  -q, --quiet           say nothing
  -h, --help            help for database
`,
		"run --help -- true": `does run [flags] -- COMMAND

Usage:
  app run [flags] -- COMMAND

Examples:
  app run -- true

Flags:
  -s, --server string   where
  -q, --quiet           say nothing
  -h, --help            help for run
`,
	} {
		var got told
		var out strings.Builder
		err := tree(&got).Execute(t.Context(), strings.Fields(line), &out, func(_ *Command, err error) error { return err })
		if err != nil || got.ran != "" || out.String() != want {
			t.Errorf("%q: %v after %v:\n%s", line, err, got, out.String())
		}
	}
}
