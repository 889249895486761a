// Package awstest runs stand-ins for AWS on loopback, for tests: moto, whose KMS is
// mended to be a fair one, and Lambda's runtime interface emulator with a function
// that was built as it is deployed. DynamoDB is internal/dynamotest's.
//
// `make tools` installs both into .tools/. What is started ends with the test
// process at the latest.
package awstest
