package source

// Variables are the names of the environment variables that may hold an ID token.
// A child that has no business with the token gets none of them.
func Variables() []string {
	return []string{envBitbucketToken, envCircleTokenV2, envCircleToken}
}
