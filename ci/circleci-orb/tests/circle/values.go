package circle

import (
	"fmt"
	"slices"
)

// mapOf is the value as a map, nil if it is none.
func mapOf(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func listOf(value any) []any {
	list, _ := value.([]any)
	return list
}

// stringsOf is a string, or a list of them, as a list.
func stringsOf(value any) []string {
	if text, ok := value.(string); ok {
		return []string{text}
	}
	var out []string
	for _, item := range listOf(value) {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

// or is value, or other if there is none.
func or(value, other any) any {
	if value == nil {
		return other
	}
	return value
}

// oneKey reads what is written as NAME, or as NAME with a map under it.
func oneKey(entry any) (string, map[string]any, error) {
	switch v := entry.(type) {
	case string:
		return v, nil, nil
	case map[string]any:
		if len(v) == 1 {
			for name, arguments := range v {
				return name, mapOf(arguments), nil
			}
		}
	}
	return "", nil, fmt.Errorf("%v is neither a name nor a map with one key", entry)
}

func onlyKeys(where string, m map[string]any, known ...string) error {
	for key := range m {
		if !slices.Contains(known, key) {
			return fmt.Errorf("%s: %s is not known here", where, key)
		}
	}
	return nil
}
