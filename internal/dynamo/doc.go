// Package dynamo is the store on AWS: three DynamoDB tables, whose keys Schema
// gives and whose items docs/storage.md describes.
//
// Every read is consistent. What decides something is one conditional write, so
// that any number of instances can decide at once. A write that the AWS SDK sends
// again, because its answer was lost, does what one alone would have done.
//
// A stored item that is not as docs/storage.md says is an error that names it,
// never passed over and never as if it did not exist.
package dynamo
