// Package teleport holds files that Teleport's guides and reference pages for Bitbucket
// Pipelines and CircleCI have people write against gatepassctl. It has tests only.
package teleport
