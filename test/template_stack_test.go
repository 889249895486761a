package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// venv finds a program of a virtual environment in .tools.
func venv(t *testing.T, name, program string) string {
	t.Helper()
	path, err := filepath.Abs("../.tools/venv-" + name + "/bin/" + program)
	must(t, err)
	return need(t, path)
}

// samEnv is what the SAM CLI runs in: any region, no account, nothing told to anybody.
func samEnv(more ...string) []string {
	return append(os.Environ(), append([]string{"AWS_DEFAULT_REGION=eu-west-1", "SAM_CLI_TELEMETRY=0"}, more...)...)
}

// template is a CloudFormation template without SAM's own resources.
type template struct {
	Metadata   map[string]any
	Parameters map[string]parameter
	Rules      map[string]struct {
		RuleCondition any
		Assertions    []struct{ Assert any }
	}
	Conditions map[string]any
	Resources  map[string]resource
	Outputs    map[string]struct {
		Condition string
		Value     any
	}
}

type parameter struct {
	Description, Type, AllowedPattern, ConstraintDescription string
	Default                                                  any
	AllowedValues                                            []any
	MinValue, MaxValue                                       float64
}

type resource struct {
	Type, Condition, DeletionPolicy, UpdateReplacePolicy string
	Properties, UpdatePolicy                             map[string]any
}

var translated = sync.OnceValues(func() ([]byte, error) { return translate("../template.yaml") })

// translate makes plain CloudFormation of a template, as AWS does.
func translate(path string) ([]byte, error) {
	cmd := exec.Command("../.tools/venv-sam/bin/python", "../tools/translate.py", path)
	cmd.Env = samEnv()
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("translating %s: %w\n%s", path, err, problems.String())
	}
	return out, nil
}

// plain returns template.yaml as AWS translates it.
func plain(t *testing.T) template {
	t.Helper()
	venv(t, "sam", "python")
	text, err := translated()
	must(t, err)
	var parsed template
	must(t, json.Unmarshal(text, &parsed))
	return parsed
}

// stack is the template as deployed with some parameters, the others at their
// defaults. It stands for CloudFormation as far as this template needs it.
type stack struct {
	template
	t      *testing.T
	params map[string]any
}

// deployed returns the stack that has these parameters: NAME=VALUE.
func deployed(t *testing.T, params ...string) *stack {
	t.Helper()
	s := &stack{template: plain(t), t: t, params: map[string]any{
		"AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws",
		"AWS::URLSuffix": "amazonaws.com", "AWS::StackName": "gatepass", "AWS::StackId": "arn:stack", "AWS::NoValue": nil,
	}}
	for name, p := range s.Parameters {
		s.params[name] = fmt.Sprint(p.Default)
	}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		if _, ok := s.Parameters[name]; !ok {
			t.Fatalf("there is no parameter %s", name)
		}
		s.params[name] = value
	}
	return s
}

// holds tells whether a condition holds; the empty one always does.
func (s *stack) holds(condition string) bool {
	if condition == "" {
		return true
	}
	c, ok := s.Conditions[condition]
	if !ok {
		s.t.Fatalf("there is no condition %s", condition)
	}
	return s.value(c).(bool)
}

// value resolves the intrinsic functions in v. A resource refers to itself by its
// logical name, an attribute of one is "Name.Attribute". What is AWS::NoValue is left out.
func (s *stack) value(v any) any {
	switch v := v.(type) {
	case []any:
		var out []any
		for _, e := range v {
			if e := s.value(e); e != nil {
				out = append(out, e)
			}
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name, arg := range v {
				if f, ok := intrinsics[name]; ok {
					return f(s, arg)
				}
			}
		}
		out := map[string]any{}
		for k, e := range v {
			if e := s.value(e); e != nil {
				out[k] = e
			}
		}
		return out
	}
	return v
}

var substitution = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

var intrinsics map[string]func(s *stack, arg any) any

func init() { // the functions refer to each other
	intrinsics = map[string]func(*stack, any) any{
		"Ref":       func(s *stack, arg any) any { return s.ref(arg.(string)) },
		"Condition": func(s *stack, arg any) any { return s.holds(arg.(string)) },
		"Fn::GetAtt": func(s *stack, arg any) any {
			parts := arg.([]any)
			return s.ref(parts[0].(string)).(string) + "." + parts[1].(string)
		},
		"Fn::Equals": func(s *stack, arg any) any {
			args := s.value(arg).([]any)
			return fmt.Sprint(args[0]) == fmt.Sprint(args[1])
		},
		"Fn::Not": func(s *stack, arg any) any { return !s.value(arg).([]any)[0].(bool) },
		"Fn::And": func(s *stack, arg any) any {
			for _, v := range s.value(arg).([]any) {
				if !v.(bool) {
					return false
				}
			}
			return true
		},
		"Fn::If": func(s *stack, arg any) any {
			args := arg.([]any)
			if s.holds(args[0].(string)) {
				return s.value(args[1])
			}
			return s.value(args[2])
		},
		"Fn::Split": func(s *stack, arg any) any {
			args := s.value(arg).([]any)
			var out []any
			for part := range strings.SplitSeq(args[1].(string), args[0].(string)) {
				out = append(out, part)
			}
			return out
		},
		"Fn::Select": func(s *stack, arg any) any {
			args := arg.([]any)
			return s.value(args[1]).([]any)[int(args[0].(float64))]
		},
		"Fn::Sub": (*stack).sub,
	}
}

func (s *stack) ref(name string) any {
	if v, ok := s.params[name]; ok {
		return v
	}
	r, ok := s.Resources[name]
	if !ok {
		s.t.Errorf("there is no %s to refer to", name)
	} else if !s.holds(r.Condition) {
		s.t.Errorf("%s is referred to and does not exist with these parameters", name)
	}
	return name
}

func (s *stack) sub(arg any) any {
	text, names := arg, map[string]any{}
	if args, ok := arg.([]any); ok {
		text, names = args[0], args[1].(map[string]any)
	}
	return substitution.ReplaceAllStringFunc(text.(string), func(match string) string {
		name := match[2 : len(match)-1]
		if v, ok := names[name]; ok {
			return fmt.Sprint(s.value(v))
		}
		if resource, attribute, ok := strings.Cut(name, "."); ok {
			return fmt.Sprint(s.ref(resource)) + "." + attribute
		}
		return fmt.Sprint(s.ref(name))
	})
}

// resource returns the properties of a resource that must exist.
func (s *stack) resource(name string) map[string]any {
	s.t.Helper()
	r, ok := s.Resources[name]
	if !ok || !s.holds(r.Condition) {
		s.t.Fatalf("there is no %s", name)
	}
	return s.value(r.Properties).(map[string]any)
}

// all returns the names of the resources of a type that exist.
func (s *stack) all(kind string) (names []string) {
	for name, r := range s.Resources {
		if r.Type == kind && s.holds(r.Condition) {
			names = append(names, name)
		}
	}
	return names
}

// outputs returns the outputs that exist.
func (s *stack) outputs() map[string]string {
	out := map[string]string{}
	for name, o := range s.Outputs {
		if s.holds(o.Condition) {
			out[name] = fmt.Sprint(s.value(o.Value))
		}
	}
	return out
}

// whole resolves everything that exists, and so finds what refers to nothing.
func (s *stack) whole() {
	for _, r := range s.Resources {
		if s.holds(r.Condition) {
			s.value(r.Properties)
			s.value(r.UpdatePolicy)
		}
	}
	s.outputs()
}

// refusal says why CloudFormation would not take these parameters; empty if it would.
func (s *stack) refusal() string {
	for name, p := range s.Parameters {
		value := fmt.Sprint(s.params[name])
		if p.AllowedPattern != "" && !regexp.MustCompile(`^(?:`+p.AllowedPattern+`)$`).MatchString(value) {
			return name
		}
		var number float64
		if _, err := fmt.Sscan(value, &number); p.MaxValue > 0 && (err != nil || number < p.MinValue || number > p.MaxValue) {
			return name
		}
		allowed := len(p.AllowedValues) == 0
		for _, v := range p.AllowedValues {
			allowed = allowed || fmt.Sprint(v) == value
		}
		if !allowed {
			return name
		}
	}
	for name, rule := range s.Rules {
		if !s.value(rule.RuleCondition).(bool) {
			continue
		}
		for _, a := range rule.Assertions {
			if !s.value(a.Assert).(bool) {
				return "rule " + name
			}
		}
	}
	return ""
}
