// Package ruletest holds rules against what a team expects of them: files of cases,
// each the claims of a job and what its join shall come to. It decides as
// admin.Explain does. The form of the files is described in docs/explain.md.
package ruletest
