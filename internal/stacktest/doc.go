// Package stacktest is for tests of what works on a deployed stack: DynamoDB Local
// for the tables, moto for KMS and CloudFormation, and behind each stack's URL, if
// it is started, the function join as it is deployed, under Lambda's runtime
// interface emulator. What template.yaml itself makes is tested in test/deploy_test.go;
// a stack of this package has its outputs, and is made in a moment.
package stacktest
