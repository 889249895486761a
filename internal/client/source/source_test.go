package source

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

func tokenWith(payload string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{}`)) + "." + part([]byte(payload)) + "." + part([]byte("signature"))
}

var (
	fromBitbucket = tokenWith(`{"aud":"b"}`)
	fromV2        = tokenWith(`{"aud":"v2"}`)
	fromV1        = tokenWith(`{"aud":"v1"}`)
	minted        = tokenWith(`{"aud":"a"}`)
	both          = tokenWith(`{"aud":["x","a"]}`)
)

// found is the ID token of f, minted for its audience if it is minted.
func found(f Finder) (Token, error) {
	s, err := f.Find()
	if err != nil {
		return Token{}, err
	}
	return s.Token(context.Background(), f.Audience)
}

func TestFind(t *testing.T) {
	circle := map[string]string{envCircle: "true", envCircleTokenV2: fromV2, envCircleToken: fromV1}
	everything := map[string]string{envCircle: "true", envCircleTokenV2: fromV2, envBitbucketToken: fromBitbucket}
	tests := map[string]struct {
		finder Finder
		env    map[string]string
		value  string
		method string
		fails  string // part of the error
	}{
		"a file comes first":                                  {Finder{File: "token"}, everything, minted, "circleci", ""},
		"a file outside of any CI":                            {Finder{File: "token"}, nil, minted, "", ""},
		"a file with a method":                                {Finder{File: "token", Method: "bitbucket"}, nil, minted, "bitbucket", ""},
		"Bitbucket comes before CircleCI":                     {Finder{}, everything, fromBitbucket, "bitbucket", ""},
		"a method narrows to CircleCI":                        {Finder{Method: "circleci"}, everything, fromV2, "circleci", ""},
		"a method narrows to Bitbucket":                       {Finder{Method: "bitbucket"}, circle, "", "", "BITBUCKET_STEP_OIDC_TOKEN is not set"},
		"V2 comes before V1":                                  {Finder{}, circle, fromV2, "circleci", ""},
		"V1 alone":                                            {Finder{}, map[string]string{envCircleToken: fromV1}, fromV1, "circleci", ""},
		"an audience is minted for":                           {Finder{Audience: "a"}, circle, minted, "circleci", ""},
		"an audience outside of CircleCI":                     {Finder{Audience: "a"}, map[string]string{envBitbucketToken: both}, both, "bitbucket", ""},
		"another audience":                                    {Finder{Audience: "a"}, map[string]string{envBitbucketToken: fromBitbucket}, "", "", `not for audience "a"`},
		"a file with a bound token":                           {Finder{File: "bound"}, circle, "", "", "bound to another request"},
		"a file with a token that is bound, for its audience": {Finder{File: "bound", Audience: "a"}, circle, "", "", "bound to another request"},
		"an audience in its bound form":                       {Finder{Audience: "a#gatepass-v1:x"}, circle, "", "", `"a#gatepass-v1:x" is bound to one request`},
		"an audience that is a number":                        {Finder{Audience: "1"}, map[string]string{envBitbucketToken: tokenWith(`{"aud":1}`)}, "", "", "not for audience"},
		"an unknown method":                                   {Finder{Method: "jenkins"}, everything, "", "", "not supported"},
		"nothing":                                             {Finder{}, nil, "", "", "no ID token"},
		"a missing file":                                      {Finder{File: "missing"}, everything, "", "", "does not exist"},
		"an unreadable file":                                  {Finder{File: "unreadable"}, everything, "", "", "permission denied"},
		"an empty file":                                       {Finder{File: "empty"}, everything, "", "", "is empty"},
		"a huge file":                                         {Finder{File: "huge"}, everything, "", "", "more than 16384 bytes"},
		"two parts":                                           {Finder{}, map[string]string{envBitbucketToken: "e30.e30"}, "", "", "three parts"},
		"an empty part":                                       {Finder{}, map[string]string{envBitbucketToken: "e30.e30."}, "", "", "base64url"},
		"a quoted token":                                      {Finder{}, map[string]string{envBitbucketToken: `"` + fromBitbucket + `"`}, "", "", "base64url"},
		"a masked token":                                      {Finder{}, map[string]string{envBitbucketToken: "****"}, "", "", "three parts"},
		"a token whose payload is no object":                  {Finder{}, map[string]string{envBitbucketToken: tokenWith(`7`)}, "", "", "JSON object"},
		"a variable with more than 16 KiB":                    {Finder{}, map[string]string{envBitbucketToken: strings.Repeat("a", 16<<10+1)}, "", "", "16 KiB"},
		"the CircleCI variable is not enough":                 {Finder{}, map[string]string{envCircle: "true"}, "", "", "neither CIRCLE_OIDC_TOKEN_V2"},
	}
	files := map[string]string{"bound": tokenWith(`{"aud":["x","a#gatepass-v1:x"]}`), "token": minted + "\n", "empty": "\n", "huge": strings.Repeat("a", 1<<20)}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := test.finder
			f.Getenv = func(name string) string { return test.env[name] }
			f.ReadFile = func(name string) ([]byte, error) {
				switch content, ok := files[name]; {
				case ok:
					return []byte(content), nil
				case name == "unreadable":
					return nil, fs.ErrPermission
				}
				return nil, fs.ErrNotExist
			}
			f.Run = func(_ context.Context, name string, args ...string) ([]byte, error) {
				if got := strings.Join(append([]string{name}, args...), " "); got != `circleci run oidc get --claims {"aud":"a"}` {
					t.Errorf("ran %s", got)
				}
				return []byte(minted + "\n"), nil
			}
			token, err := found(f)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || len(cli.Of(err).Hints) == 0 {
					t.Errorf("error %v, want %q and a hint", err, test.fails)
				}
				return
			}
			if err != nil || token.Value() != test.value || token.Method != test.method {
				t.Errorf("%s %q %v, want method %q", token, token.Method, err, test.method)
			}
		})
	}
}

// TestNothingIsMintedBeforeItIsAskedFor holds that keys come first: a token that is minted
// while it is looked for is bound to nothing.
func TestNothingIsMintedBeforeItIsAskedFor(t *testing.T) {
	var asked []string
	f := Finder{
		Audience: "a",
		Getenv:   func(name string) string { return map[string]string{envCircle: "true", envCircleTokenV2: fromV2}[name] },
		Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
			asked = append(asked, args[len(args)-1])
			return []byte(tokenWith(args[len(args)-1])), nil
		},
	}
	s, err := f.Find()
	if err != nil || !s.Mints() || len(asked) != 0 {
		t.Fatalf("%v, minted for %q", err, asked)
	}
	for _, audience := range []string{"a#gatepass-v1:1", "a#gatepass-v1:2"} {
		token, err := s.Token(t.Context(), audience)
		if err != nil || len(Audiences(token.Claims()["aud"])) != 1 || Audiences(token.Claims()["aud"])[0] != audience {
			t.Errorf("%v %v, want a token for %s", token.Claims(), err, audience)
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked for %q, want one token for each request", asked)
	}
}

// TestATokenForAnotherAudienceIsNotSent: what is minted is bound as it was asked, or not sent.
func TestATokenForAnotherAudienceIsNotSent(t *testing.T) {
	for _, answer := range []string{`{"aud":"a"}`, `{"aud":"a#gatepass-v1:2"}`, `{"aud":"A#gatepass-v1:1"}`, `{"aud":"a#gatepass-v1:1="}`, `{"aud":["a"]}`, `{}`} {
		f := Finder{
			Audience: "a",
			Getenv:   func(name string) string { return map[string]string{envCircle: "true"}[name] },
			Run:      func(context.Context, string, ...string) ([]byte, error) { return []byte(tokenWith(answer)), nil },
		}
		s, err := f.Find()
		if err != nil {
			t.Fatal(err)
		}
		if token, err := s.Token(t.Context(), "a#gatepass-v1:1"); err == nil {
			t.Errorf("%s: %s is taken for one that is bound to the request", answer, token)
		}
	}
}

// TestWhatMintsAgreesWithTheTable holds the clients' side and the rules' side together: a
// rule may require what the client can do.
func TestWhatMintsAgreesWithTheTable(t *testing.T) {
	for _, s := range systems() {
		p := provider.Of(s.method)
		if p == nil || p.Mints != (s.mints != nil) {
			t.Errorf("%s: the client mints: %t, and the table of CIs has %+v", s.method, s.mints != nil, p)
		}
	}
}

func TestMintingIsTriedThreeTimes(t *testing.T) {
	tests := map[string]struct {
		results []error // nil prints a token
		runs    int
		fails   string
	}{
		"at once":             {[]error{nil}, 1, ""},
		"at the third try":    {[]error{errors.New("x"), errors.New("y"), nil}, 3, ""},
		"never":               {[]error{errors.New("x"), errors.New("y"), errors.New("z"), nil}, 3, "failed 3 times: z"},
		"no circleci command": {[]error{exec.ErrNotFound}, 1, "not in PATH"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			runs, slept := 0, time.Duration(0)
			f := Finder{
				Audience: "a",
				Getenv:   func(name string) string { return map[string]string{envCircle: "true", envCircleTokenV2: fromV2}[name] },
				Run: func(context.Context, string, ...string) ([]byte, error) {
					runs++
					if err := test.results[runs-1]; err != nil {
						return []byte(minted), err
					}
					return []byte(minted), nil
				},
				Sleep: func(_ context.Context, d time.Duration) error { slept += d; return nil },
			}
			token, err := found(f)
			if runs != test.runs || slept != time.Duration(runs-1)*time.Second && test.runs != 1 {
				t.Errorf("%d runs, slept %s", runs, slept)
			}
			if test.fails == "" && (err != nil || token.Value() != minted) {
				t.Errorf("error %v", err)
			}
			if test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails) || strings.Contains(err.Error(), minted)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestATokenDoesNotPrintItself(t *testing.T) {
	token := Token{value: minted, Source: "X"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if out := fmt.Sprintf(verb, token); strings.Contains(out, minted) {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}
