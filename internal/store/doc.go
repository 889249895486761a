// Package store says what is stored and what every store promises: the types of
// records, key sets, uses, revocations and resources, and how they are encoded.
// internal/dynamo and internal/sqlite keep them. It is pure.
package store
