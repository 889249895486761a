package cli

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// told is what a run of the test's tree came to.
type told struct {
	ran, server string
	quiet       bool
	words       []string
	dash        int
}

// tree is a root with commands, one of which has a command of its own. Each has flags
// of the same names.
func tree(result *told) *cobra.Command {
	make := func(use string) *cobra.Command {
		c := &cobra.Command{Use: use, Short: "does " + use, Example: "  app " + use, Args: func(_ *cobra.Command, args []string) error {
			if slices.Contains(args, "refused") {
				return Misused("refused").Hint("write another")
			}
			return nil
		}}
		server := c.Flags().StringP("server", "s", "", "where")
		quiet := c.Flags().BoolP("quiet", "q", false, "say nothing")
		c.RunE = func(cmd *cobra.Command, args []string) error {
			*result = told{cmd.CommandPath(), *server, *quiet, args, cmd.Flags().ArgsLenAtDash()}
			return nil
		}
		return c
	}
	root, join, database, run := make("app"), make("join [database]"), make("database"), make("run [flags] -- COMMAND")
	database.Aliases = []string{"db"}
	run.Flags().SetInterspersed(false)
	secret, leaf := make("secret"), make("leaf")
	secret.Hidden = true
	leaf.Args = cobra.NoArgs
	join.AddCommand(database)
	group := &cobra.Command{Use: "group", Short: "groups", Args: cobra.NoArgs, RunE: NeedsCommand}
	group.AddCommand(make("member"))
	root.AddCommand(run, join, secret, leaf, group)
	new(Env).Prepare(root)
	return root
}

func environment(out *bytes.Buffer) *Env {
	return &Env{Name: "app", Getenv: func(string) string { return "" }, Out: out, Err: out}
}

// Flags and words of a command may stand in any order.
func TestExecute(t *testing.T) {
	for line, want := range map[string]told{
		"":                          {"app", "", false, []string{}, -1},
		"join":                      {"app join", "", false, []string{}, -1},
		"join database":             {"app join database", "", false, []string{}, -1},
		"join db word":              {"app join database", "", false, []string{"word"}, -1},
		"join --server x db":        {"app join database", "x", false, []string{}, -1},
		"join -s x db":              {"app join database", "x", false, []string{}, -1},
		"join -sx db":               {"app join database", "x", false, []string{}, -1},
		"join --server=x db":        {"app join database", "x", false, []string{}, -1},
		"join --server db":          {"app join", "db", false, []string{}, -1},
		"join --quiet db":           {"app join database", "", true, []string{}, -1},
		"join -q db -s database":    {"app join database", "database", true, []string{}, -1},
		"--server x join":           {"app join", "x", false, []string{}, -1},
		"join -- db":                {"app join", "", false, []string{"db"}, 0},
		"join other db":             {"app join", "", false, []string{"other", "db"}, -1},
		"run -q -- ls --server y":   {"app run", "", true, []string{"ls", "--server", "y"}, 0},
		"run -q ls --server y -- z": {"app run", "", true, []string{"ls", "--server", "y", "--", "z"}, -1},
		"secret":                    {"app secret", "", false, []string{}, -1},
		"database":                  {"app", "", false, []string{"database"}, -1},
	} {
		var got told
		var out bytes.Buffer
		_, err := environment(&out).Execute(t.Context(), tree(&got), strings.Fields(line))
		if err != nil || got.ran != want.ran || got.server != want.server || got.quiet != want.quiet || !slices.Equal(got.words, want.words) || got.dash != want.dash {
			t.Errorf("%q: %+v %v, want %+v", line, got, err, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"join refused":                      "error: refused\nhint: write another",
		"join db --unknown":                 "error: unknown flag: --unknown\nhint: see app join database --help",
		"join --sever x db":                 "error: unknown flag: --sever\nhint: did you mean --server? see app join database --help",
		"run -x":                            "error: unknown shorthand flag: 'x' in -x\nhint: see app run --help",
		"join db --server":                  "error: flag needs an argument: --server\nhint: see app join database --help",
		"join db -q=perhaps":                "error: invalid argument \"perhaps\" for \"-q, --quiet\" flag: strconv.ParseBool: parsing \"perhaps\": invalid syntax\nhint: see app join database --help",
		"leaf word":                         "error: unknown command \"word\" for \"app leaf\"\nhint: write it like: app leaf",
		"group menber":                      "error: unknown command \"menber\"\nhint: did you mean app group member?",
		"group wat":                         "error: unknown command \"wat\"\nhint: see app group --help",
		"help group menber":                 "error: unknown command \"menber\"\nhint: did you mean app group member?",
		"join --server x -q=1 db --\x1b[2J": "error: unknown flag: -- [2J\nhint: see app join database --help",
	} {
		var got told
		var out bytes.Buffer
		env := environment(&out)
		exit := env.Report(env.Execute(t.Context(), tree(&got), strings.Fields(line)))
		if said := strings.ReplaceAll(strings.TrimSuffix(out.String(), "\n"), "app: ", ""); said != want || exit != ExitUsage || got.ran != "" {
			t.Errorf("%q: exit %d after %v:\n%s\nwant\n%s", line, exit, got, said, want)
		}
	}
}

// --help shows the command that a line names, wherever it stands.
func TestHelp(t *testing.T) {
	for line, want := range map[string]string{
		"--help": "app [flags]", "join -h database --server x": "app join database [flags]", "--help join": "app join [database] [flags]",
		"run --help -- true": "app run [flags] -- COMMAND", "help join db": "app join database [flags]", "group": "app group [flags]",
	} {
		var got told
		var out bytes.Buffer
		_, err := environment(&out).Execute(t.Context(), tree(&got), strings.Fields(line))
		if err != nil || got.ran != "" || !strings.Contains(out.String(), "\nUsage:\n  "+want+"\n") || !strings.Contains(out.String(), "-h, --help") {
			t.Errorf("%q: %v after %v:\n%s", line, err, got, &out)
		}
	}
}

func TestReport(t *testing.T) {
	failed := Errorf(ExitRefused, "no").Hint("ask %s", "again").Hint("")
	failed.Notes = []string{"claims"}
	for _, c := range []struct {
		err  error
		exit Exit
		want string
	}{
		{nil, ExitDone, ""},
		{fmt.Errorf("child: %w", Exit(7)), 7, ""},
		{errors.New("one\ntwo\x1b[2J\n"), ExitFailed, "app: error: one\napp: error: two [2J\n"},
		{fmt.Errorf("joining: %w", failed), ExitRefused, "app: error: joining: no\napp:   claims\napp: hint: ask again\n"},
		{Misused("wrong"), ExitUsage, "app: error: wrong\napp: hint: see app --help\n"},
	} {
		var out bytes.Buffer
		if exit := environment(&out).Report(tree(new(told)), c.err); exit != c.exit || out.String() != c.want {
			t.Errorf("%v: exit %d: %q, want %q", c.err, exit, out.String(), c.want)
		}
	}
}

// What is not a terminal gets no colours.
func TestStyle(t *testing.T) {
	var out bytes.Buffer
	if got := environment(&out).Style(&out).Red("x"); got != "x" {
		t.Errorf("%q", got)
	}
	if got := Style(true).Red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
}

func TestPrint(t *testing.T) {
	for format, want := range map[string]string{
		"text": "said\n", "json": "{\n  \"b\": \"<1>\",\n  \"a\": [\n    \"true\"\n  ]\n}\n", "yaml": "b: <1>\na:\n  - \"true\"\n",
	} {
		var out bytes.Buffer
		env := environment(&out)
		env.Format = format
		v := struct {
			B string   `json:"b"`
			A []string `json:"a"`
		}{"<1>", []string{"true"}}
		if err := env.Print(v, func() { fmt.Fprintln(&out, "said") }); err != nil || out.String() != want {
			t.Errorf("%s: %q %v", format, out.String(), err)
		}
	}
}

// A --format is checked before anything is done.
func TestFormat(t *testing.T) {
	for format, want := range map[string]Exit{"text": ExitDone, "json": ExitDone, "yaml": ExitDone, "xml": ExitUsage, "": ExitUsage} {
		var out bytes.Buffer
		env, ran := environment(&out), false
		root := &cobra.Command{Use: "app", RunE: func(*cobra.Command, []string) error {
			ran = true
			return nil
		}}
		root.Flags().StringVar(&env.Format, "format", "text", "")
		env.Prepare(root)
		exit := env.Report(env.Execute(t.Context(), root, []string{"--format", format}))
		if exit != want || ran != (want == ExitDone) || !ran && out.String() != "app: error: unknown format \""+format+"\"\napp: hint: write --format text, json or yaml\n" {
			t.Errorf("%q: exit %d, ran %v: %s", format, exit, ran, &out)
		}
	}
}
