// Package awstest runs stand-ins for AWS on loopback, for tests: DynamoDB Local, with a
// proxy that misbehaves; moto, whose KMS is mended to be a fair one; and Lambda's runtime
// interface emulator with a function that was built as it is deployed.
//
// `make tools` installs them into .tools/; DynamoDB Local needs Java 17. What is started ends
// with the test process at the latest. A test binary starts one of each, in TestMain, and makes
// tables and keys of its own for each test.
package awstest
