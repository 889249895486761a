// Package rules is the language in which administrators say which jobs may join
// as which bot and what each bot is granted. It parses resources strictly,
// validates and lints them, decides over a job's claims, and works out grants.
// Deny by default: what no rule allows is refused.
//
// It is pure: no network, no files, no clock but the time it is handed.
// The language is described in docs/rules.md.
package rules
