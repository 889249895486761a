// Package dynamotest runs Amazon's DynamoDB Local for tests: on loopback, in
// memory, ended with the test process at the latest. `make tools` installs it
// into .tools/dynamodb; it needs Java 17.
//
// A test binary starts one server, in TestMain, and makes tables of its own for
// each test:
//
//	server, err := dynamotest.Start()
//	defer server.Stop()
//	tables, err := dynamotest.NewTables(ctx, server.Client())
package dynamotest
