// Package schema makes JSON Schemas (draft-07, which editors understand) of the files
// that administrators write: resources, and the cases of gatepassctl test. The fields
// and their types come from the Go types that those files are read into; what they
// mean and how their values look is in notes.go.
package schema
