// Package source finds the OIDC token that the CI system minted for this job.
package source

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Token is an ID token and where it came from. It prints as its source, so
// that a stray %v in a message never puts the secret into a build log.
type Token struct {
	value  string
	Method string // the join method, empty when an ID token file does not tell
	Source string // a variable's name, a file or a command
	claims map[string]any
}

// Value is the compact JWS itself. It belongs in the join request and nowhere else.
func (t Token) Value() string { return t.value }

// Claims are what the token says, unverified. Numbers are json.Number: 1767225600, not
// 1.7672256e+09.
func (t Token) Claims() map[string]any { return t.claims }

// String names the source, never the value.
func (t Token) String() string { return "[ID token from " + t.Source + "]" }

// GoString is String: %#v must not show the value either.
func (t Token) GoString() string { return t.String() }

// Finder looks for the ID token. Its functions are the outside world.
type Finder struct {
	File     string // --id-token-file
	Audience string // the audience the token must have, if one is set
	Method   string // --join-method; narrows the search

	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	// Run runs a command and returns what it wrote to stdout.
	Run   func(ctx context.Context, name string, args ...string) ([]byte, error)
	Sleep func(context.Context, time.Duration) error
}

// Source is where the ID token of this job comes from.
type Source struct {
	finder Finder
	minter *system // that mints the ID token; nil if it is there already
	ready  Token   // the one that is there
}

// Find finds where the ID token of this job comes from, the first of these: the file, then for
// one CI system after another the token that it mints for the audience, and its variables. A
// token that is there is checked by its shape; its signature is the service's business.
// Nothing is minted yet.
func (f Finder) Find() (*Source, error) {
	if len(f.chosen()) == 0 {
		return nil, cli.Misused("join method %q is not supported", f.Method).
			Hint("use --join-method=%s, or leave it out", strings.Join(Methods(), " or --join-method="))
	}
	if before, _, bound := strings.Cut(f.Audience, provider.BindingMark); bound {
		return nil, cli.Misused("--audience %q is bound to one request", words.Clean(f.Audience)).
			Hint("give the audience that the token rule names, %q; gatepass binds the ID token to its request by itself", words.Clean(before))
	}
	s, err := f.pick()
	if err != nil || s.minter != nil {
		return s, err
	}
	if s.ready.value == "" {
		return nil, f.noneFound()
	}
	if err := s.ready.checkReady(f.Audience); err != nil {
		return nil, err
	}
	return s, nil
}

// pick returns the first source that has a token, or one that has none.
func (f Finder) pick() (*Source, error) {
	if f.File != "" {
		value, err := f.readFile()
		return &Source{finder: f, ready: Token{value: value, Method: f.fileMethod(), Source: f.File}}, err
	}
	for _, s := range f.chosen() {
		if s.mints != nil && s.mints(f) {
			return &Source{finder: f, minter: &s}, nil
		}
		if name, value := s.token(f); value != "" {
			return &Source{finder: f, ready: Token{value: value, Method: s.method, Source: name}}, nil
		}
	}
	return &Source{}, nil
}

// Mints reports whether Token has an ID token minted.
func (s *Source) Mints() bool { return s.minter != nil }

// Token returns the ID token. It is minted for the audience, anew by each call, unless it is
// there already: then its audience is what it is.
func (s *Source) Token(ctx context.Context, audience string) (Token, error) {
	if s.minter == nil {
		return s.ready, nil
	}
	f := s.finder
	f.Audience = audience
	value, err := s.minter.mint(ctx, f)
	if err != nil {
		return Token{}, err
	}
	token := Token{value: value, Method: s.minter.method, Source: s.minter.minter}
	if err := token.checkMinted(audience); err != nil {
		return Token{}, err
	}
	return token, nil
}

// fileMethod is the method of a token from a file: as told, or the CI we run in.
func (f Finder) fileMethod() string {
	for _, s := range systems() {
		if f.Method == "" && s.in(f) {
			return s.method
		}
	}
	return f.Method
}

// noneFound says what to write in the file of the CI system we run in.
func (f Finder) noneFound() error {
	if s, ok := f.here(); ok {
		return s.none()
	}
	enable := collect(func(s system) []string { return []string{s.enable} })
	return cli.Failed("no ID token: this does not look like %s", Jobs()).
		Hint("%s, elsewhere give --id-token-file FILE", strings.Join(enable, ", "))
}

// readFile reads the ID token file whole.
func (f Finder) readFile() (string, error) {
	raw, err := f.ReadFile(f.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", cli.Failed("ID token file %s does not exist", f.File).
			Hint("write the job's OIDC token to it first, or leave out --id-token-file to use the CI system's variable")
	case err != nil:
		return "", cli.Failed("reading the ID token file: %w", err).
			Hint("check that the file can be read by this user")
	}
	value := strings.TrimSpace(string(raw))
	if value == "" {
		return "", cli.Failed("ID token file %s is empty", f.File).
			Hint("write the job's OIDC token to it first")
	}
	if len(value) > api.MaxIDTokenBytes {
		return "", cli.Failed("ID token file %s holds more than %d bytes, so it is no ID token", f.File, api.MaxIDTokenBytes).
			Hint("the file holds the token and nothing else: three parts joined by dots")
	}
	return value, nil
}
