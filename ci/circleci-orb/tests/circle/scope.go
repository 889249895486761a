package circle

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// scope is where names and parameters are looked up: in the configuration, or in an orb.
type scope struct {
	config     *Config
	local      map[string]any
	orb        bool // local is an orb, which does not see the configuration
	parameters map[string]any
}

// bound is an argument whose names are those of the caller: steps, or an executor.
type bound struct {
	value any
	scope scope
}

// find looks up a job, command or executor, by NAME or ORB/NAME, and the scope that what
// it says has.
func (s scope) find(kind, reference string) (map[string]any, scope, error) {
	local, name := s.local, reference
	inOrb := s.orb
	if alias, inner, ok := strings.Cut(reference, "/"); ok && !s.orb {
		orb, known := s.config.orbs[alias]
		if !known {
			return nil, scope{}, fmt.Errorf("%s: there is no orb %s", reference, alias)
		}
		local, name, inOrb = orb, inner, true
	}
	definition, ok := mapOf(local[kind])[name].(map[string]any)
	if !ok {
		return nil, scope{}, fmt.Errorf("there is no %s in %s", reference, kind)
	}
	return definition, scope{config: s.config, local: local, orb: inOrb}, nil
}

// bind returns the scope with the parameters that definition declares, from arguments
// that the caller has written.
func (s scope) bind(caller scope, definition, arguments map[string]any) (scope, error) {
	declared := mapOf(definition["parameters"])
	s.parameters = make(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		if declared[name] == nil {
			return s, fmt.Errorf("there is no parameter %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		parameter := mapOf(declared[name])
		value, given := arguments[name]
		from := caller
		if !given {
			if value, given = parameter["default"]; !given {
				return s, fmt.Errorf("the parameter %s is missing", name)
			}
			from = s
		}
		value, err := from.argument(parameter, value)
		if err != nil {
			return s, fmt.Errorf("parameter %s: %w", name, err)
		}
		s.parameters[name] = value
	}
	return s, nil
}

// argument checks a value, as it stands in scope s, for a parameter.
func (s scope) argument(parameter map[string]any, value any) (any, error) {
	kind := fmt.Sprint(parameter["type"])
	if kind == "steps" || kind == "executor" {
		if text, ok := value.(string); ok && reference.MatchString(text) {
			return s.substitute(text) // bound already
		}
		return bound{value, s}, nil
	}
	value, err := s.substitute(value)
	if err != nil {
		return nil, err
	}
	_, isString := value.(string)
	_, isBool := value.(bool)
	switch kind {
	case "string":
		if !isString {
			return nil, fmt.Errorf("%v is no string", value)
		}
	case "boolean":
		if !isBool {
			return nil, fmt.Errorf("%v is no boolean", value)
		}
	case "enum":
		if !slices.Contains(listOf(parameter["enum"]), value) {
			return nil, fmt.Errorf("%v is none of %v", value, parameter["enum"])
		}
	default:
		return nil, fmt.Errorf("type %s is not known here", kind)
	}
	return value, nil
}

// A reference to a parameter; with a backslash before it, it is text.
var (
	reference = regexp.MustCompile(`^<<\s*parameters\.([a-z_]+)\s*>>$`)
	within    = regexp.MustCompile(`\\?<<(?:\s*([a-z._]+)\s*>>)?`)
)

// substitute returns value with its parameters in place. What they hold is not looked at
// again: an argument with << in it is a string like any other.
func (s scope) substitute(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			replaced, err := s.substitute(item)
			if err != nil {
				return nil, err
			}
			out[key] = replaced
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			replaced, err := s.substitute(item)
			if err != nil {
				return nil, err
			}
			out[i] = replaced
		}
		return out, nil
	case string:
		if m := reference.FindStringSubmatch(v); m != nil {
			return s.parameter(m[1])
		}
		return s.substituteIn(v)
	}
	return value, nil
}

func (s scope) substituteIn(text string) (string, error) {
	var failed error
	out := within.ReplaceAllStringFunc(text, func(match string) string {
		if rest, ok := strings.CutPrefix(match, `\`); ok {
			return rest
		}
		name, ok := strings.CutPrefix(within.FindStringSubmatch(match)[1], "parameters.")
		if !ok {
			failed = fmt.Errorf("%q is no parameter; write \\<< for <<", match)
			return ""
		}
		value, err := s.parameter(name)
		if err != nil {
			failed = err
		}
		return fmt.Sprint(value)
	})
	return out, failed
}

func (s scope) parameter(name string) (any, error) {
	value, ok := s.parameters[name]
	if !ok {
		return nil, fmt.Errorf("<<parameters.%s>> is not declared", name)
	}
	return value, nil
}

// environment returns the variables that a job or a step sets.
func (s scope) environment(value any) (map[string]string, error) {
	replaced, err := s.substitute(value)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string)
	for name, item := range mapOf(replaced) {
		switch item.(type) {
		case string, bool, int, float64:
			out[name] = fmt.Sprint(item)
		default:
			return nil, fmt.Errorf("environment: %s is no string", name)
		}
	}
	return out, nil
}
