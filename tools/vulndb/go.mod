// The vulnerability database that `make lint` asks, as the Go project publishes it in a
// module: pinned, so that a check of a commit says the same on every machine.
// `make vulndb` takes the newest one.
module github.com/gatepass-ci/gatepass/tools/vulndb

go 1.26.8

require golang.org/x/vulndb v0.0.0-20261105234957-e22db6528018
