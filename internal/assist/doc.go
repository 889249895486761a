// Package assist helps people to write rules. It makes the JSON Schemas (draft-07, which
// editors understand) of the files that administrators write: the fields and their types
// come from the Go types that those files are read into and from the table of CIs, what
// they mean is in notes.go. And it writes the first rules of a pipeline, with comments,
// from what the settings pages of its CI show: what is asked for, where a person finds
// it, and what people paste in its place is in the same table.
package assist
