// Command table prints the tables of docs/capacity.md: what each quota allows, a simulation of
// joins against all of them, and what joins cost.
//
//	go run ./test/capacity/table
package main

import (
	"os"

	"github.com/gatepass-ci/gatepass/test/capacity"
)

func main() { capacity.Print(os.Stdout) }
