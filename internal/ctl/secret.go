package ctl

import "regexp"

// idToken is what every ID token looks like: a JWS whose header is a JSON object.
var idToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(\.[A-Za-z0-9_-]*)?`)

const howToGiveTokens = "write the ID token to a file and give its name, or - for standard input: others can read what is on a command line"

// withoutIDTokens takes ID tokens out of a message: somebody may have given one where the
// name of a file belongs. there tells whether it had any.
func withoutIDTokens(message string) (plain string, there bool) {
	plain = idToken.ReplaceAllLiteralString(message, "(an ID token)")
	return plain, plain != message
}
