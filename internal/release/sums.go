package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// sumLine is a line as sha256sum writes it, of a file whose name is only a name.
var sumLine = regexp.MustCompile(`\A([0-9a-f]{64})  ([0-9A-Za-z][0-9A-Za-z._+-]{0,199})\n\z`)

// parseSums reads SHA256SUMS. A name may be there once only, also with the same sum.
func parseSums(text []byte) (map[string]string, error) {
	sums := make(map[string]string)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		m := sumLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d is not a SHA-256, two spaces and the name of a file", n)
		}
		if _, twice := sums[m[2]]; twice {
			return nil, fmt.Errorf("line %d names %s a second time", n, m[2])
		}
		sums[m[2]] = m[1]
	}
	return sums, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
