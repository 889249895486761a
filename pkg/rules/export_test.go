package rules

// GlobMatch lets the tests reach the matcher itself.
var GlobMatch = globMatch
