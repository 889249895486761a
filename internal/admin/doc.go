// Package admin is what administrators do with a store: change resources, read
// records, look after key sets. It declares the ports it needs, and the commands
// of gatepassctl are a thin layer above it.
package admin
