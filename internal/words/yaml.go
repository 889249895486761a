package words

import (
	"bytes"
	"encoding/json"
	"strings"
)

// YAMLString writes any text as a string that YAML and JSON read as itself.
func YAMLString(s string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always can
	return strings.TrimSpace(out.String())
}
