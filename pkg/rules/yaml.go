package rules

import (
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// MarshalYAML returns r as canonical YAML, without a leading "---". Parse of it
// gives an equal resource.
func MarshalYAML(r Resource) ([]byte, error) {
	encoded, err := Encode(r)
	if err != nil {
		return nil, err
	}
	text, err := words.YAML(encoded)
	if err != nil {
		return nil, fmt.Errorf("writing %s/%s as YAML: %w", r.Kind(), r.Name(), err)
	}
	return text, nil
}
