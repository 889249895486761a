// Package worldtest is for tests of the whole. It builds the two commands from this source,
// once for a test program, and has a join service of either kind: gatepassctl serve on a data
// directory, and a stack with the outputs of a deployed one.
//
// A World is such a service with an issuer whose keys it knows. It applies rules, mints ID
// tokens, joins, starts SSH servers that trust it, and runs both commands.
package worldtest
