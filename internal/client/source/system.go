package source

import (
	"context"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// system is what there is to know of a CI system to have ID tokens of its jobs. A CI
// is a file of this package, which adds it as the program starts.
type system struct {
	method    string   // the join method
	marker    string   // an environment variable that every job has
	variables []string // environment variables that may hold ID tokens, the better ones first
	secrets   []string // others, by which ID tokens can be had

	// mints reports whether mint can have a token minted. Both are nil where a job
	// can't ask for one, and minter says what is asked.
	mints  func(Finder) bool
	mint   func(context.Context, Finder) (string, error)
	minter string

	// renewable says why there cannot be a second ID token in this job, or nil.
	renewable func(Finder) error
	// none says that there is no ID token in this job, and what to write to have one.
	none func() error

	name     func(marker string) string   // of the system, for people
	job      string                       // what its jobs are called
	enable   string                       // what makes a job have an ID token
	renew    string                       // what makes a second ID token possible; empty if nothing does
	audience func(audience string) string // how a token gets an audience, which is in quotes
}

var table []system

// add is called by the file of each system, and by nothing else.
func add(s system) { table = append(table, s) }

// systems are all CI systems, by their methods: so ID tokens are looked for.
func systems() []system {
	return slices.SortedFunc(slices.Values(table), func(a, b system) int { return strings.Compare(a.method, b.method) })
}

// chosen are the systems that may be meant: the one of --join-method, or all.
func (f Finder) chosen() []system {
	return slices.DeleteFunc(systems(), func(s system) bool { return f.Method != "" && f.Method != s.method })
}

// in reports whether this is a job of the system, by its own mark.
func (s system) in(f Finder) bool { return f.Getenv(s.marker) != "" }

// token is the first variable that holds an ID token, and its value.
func (s system) token(f Finder) (name, value string) {
	for _, name := range s.variables {
		if value := f.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// here is the system whose job this is, as far as can be told.
func (f Finder) here() (system, bool) {
	all := f.chosen()
	i := slices.IndexFunc(all, func(s system) bool {
		_, value := s.token(f)
		return f.Method != "" || s.in(f) || value != ""
	})
	if i < 0 {
		return system{}, false
	}
	return all[i], true
}

// System names the CI system that we run in, for people; empty if it is none that is known.
func (f Finder) System() string {
	for _, s := range systems() {
		if s.in(f) {
			return s.name(words.Clean(f.Getenv(s.marker)))
		}
	}
	return ""
}

// Renewable says why there cannot be a second ID token in this job, or nil. An
// ID token is good for one join, so without a second one nothing can be renewed.
func (f Finder) Renewable() error {
	if f.File != "" {
		return nil // whoever writes the file can write it anew
	}
	if s, ok := f.here(); ok {
		return s.renewable(f)
	}
	return mintsNothing()
}

func notRenewable(why string) *cli.Error {
	return cli.Misused("renewal is not possible here: %s", why)
}

// mintsNothing is renewal where no CI system is known that mints.
func mintsNothing() error {
	hint := "add --oneshot (`oneshot: true` in a file) to join once; "
	for _, s := range systems() {
		if s.renew != "" {
			hint += s.renew + ", "
		}
	}
	return notRenewable("nothing here can mint a second ID token").Hint("%selsewhere --id-token-file with a file that is kept fresh", hint)
}

// Variables are the names of the environment variables that may hold an ID token, or by
// which one can be had. A child that has no business with the token gets none of them.
func Variables() []string {
	return collect(func(s system) []string { return slices.Concat(s.variables, s.secrets) })
}

// Methods are the join methods whose ID tokens are found.
func Methods() []string { return collect(func(s system) []string { return []string{s.method} }) }

// Jobs are what jobs are called in all CI systems, for people.
func Jobs() string {
	return strings.Join(collect(func(s system) []string { return []string{s.job} }), " or ")
}

func collect(of func(system) []string) []string {
	var all []string
	for _, s := range systems() {
		all = append(all, of(s)...)
	}
	return all
}
