package capacity

import (
	"math"
	"time"
)

// What a call to AWS from a function in the same region is assumed to take. Nobody promises it:
// measure yours (docs/capacity.md says how), and put it here.
const (
	DynamoDBTime = 5 * time.Millisecond
	KMSTime      = 10 * time.Millisecond
)

const (
	// LocalTime is what a join takes beside its remote calls with JoinMB of memory, as
	// `make bench BENCH=memory` measures: a later join's time less that of its four hops.
	LocalTime = 15 * time.Millisecond
	// JoinMB is the memory of the function join in template.yaml.
	JoinMB = 512
)

// Prices of AWS in us-east-1 as of November 2026, in USD. The page docs/deploy.md has the same,
// and what is paid each month without any join.
const (
	gbSecondUSD  = 0.0000133334 // Lambda, arm64
	requestUSD   = 0.20 / 1e6   // Lambda
	signatureUSD = 0.15 / 1e4
	writeUSD     = 0.625 / 1e6
	readUSD      = 0.125 / 1e6
	apiUSD       = 1.00 / 1e6
	// A record of 2.5 KB for 90 days, a log of 3 KB, an answer of 5 KB.
	storageUSD = 3.375 / 1e6
	logUSD     = 1.60 / 1e6
	outUSD     = 0.45 / 1e6
)

// LambdaUSD is the price of one invocation that takes ms with so many MB. Lambda counts whole ms.
func LambdaUSD(mb int, ms float64) float64 {
	return requestUSD + gbSecondUSD*float64(mb)/1024*math.Ceil(ms)/1000
}
