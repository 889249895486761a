package scaffold

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

//go:embed rules.yaml.tmpl
var source string

// Write returns the YAML of a bot, a role and a token rule, with comments. a must be
// complete. findings are what lint says of them above info; there are none unless an
// answer is a pattern of everything, or names a CircleCI server of one's own.
func Write(method string, a Answers) (text []byte, findings []rules.Finding, err error) {
	t, err := template.New("rules").Funcs(template.FuncMap{"q": quote, "split": strings.Split}).
		Option("missingkey=zero").Parse(source)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, map[string]any{"method": method, "a": map[string]string(a), "globs": hasGlobs(a)}); err != nil {
		return nil, nil, err
	}
	documents, _, err := rules.Parse("the rules made", out.Bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("the answers do not make rules: %w", err)
	}
	var all []rules.Resource
	for _, d := range documents {
		all = append(all, d.Resource)
	}
	for _, f := range rules.Lint(all) {
		if f.Severity > rules.SeverityInfo {
			findings = append(findings, f)
		}
	}
	return out.Bytes(), findings, nil
}

// hasGlobs reports whether an answer that may be a pattern is one: no branch and no
// repository has such a name.
func hasGlobs(a Answers) bool {
	return strings.ContainsAny(a["branch"]+a["ref"]+a["origin"], "*?")
}

// quote writes a string that YAML reads as itself: JSON's are among YAML's.
func quote(s string) (string, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return strings.TrimSpace(out.String()), err
}
