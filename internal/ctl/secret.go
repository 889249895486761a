package ctl

import (
	"regexp"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// idToken is what every ID token looks like: a JWS whose header is a JSON object.
var idToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(\.[A-Za-z0-9_-]*)?`)

const howToGiveTokens = "write the ID token to a file and give its name, or - for standard input: others can read what is on a command line"

// hideIDTokens takes ID tokens out of the message of an error: somebody may have given
// one where the name of a file belongs.
func hideIDTokens(err error) error {
	if err == nil || !idToken.MatchString(err.Error()) {
		return err
	}
	return cli.Errorf(cli.Of(err).Exit, "%s", idToken.ReplaceAllLiteralString(err.Error(), "(an ID token)")).Hint(howToGiveTokens)
}
