package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// CaseFile is a file of cases.
type CaseFile struct {
	Defaults Defaults `json:"defaults,omitempty"`
	Cases    []Case   `json:"cases"`
}

// Defaults are what every case of the file has, save what it says itself.
type Defaults struct {
	Token  string         `json:"token,omitempty"`
	Claims map[string]any `json:"claims,omitempty"`
	At     time.Time      `json:"at,omitempty"`
}

// Case is one job, and what its join shall come to.
type Case struct {
	Name  string `json:"name"`
	Token string `json:"token,omitempty"` // the token rule
	// Claims of the ID token, by the CI's own names. They are laid over the
	// defaults; one that is null is taken away.
	Claims map[string]any `json:"claims,omitempty"`
	// ClaimsFile has claims as JSON, beside the file of cases; Claims are laid over it.
	ClaimsFile string `json:"claims_file,omitempty"`
	// At is when the job joins; zero means now.
	At time.Time `json:"at,omitempty"`
	// TTL and Credentials are asked for, as in a join request.
	TTL         string           `json:"ttl,omitempty"`
	Credentials []CaseCredential `json:"credentials,omitempty"`

	// Want is "join" or the code of a refusal.
	Want string `json:"want"`
	// The rest may be said of a job that joins.
	Bot       string   `json:"bot,omitempty"`
	Rule      *int     `json:"rule,omitempty"`       // the allow rule that matches
	Logins    []string `json:"logins,omitempty"`     // exactly the principals of an SSH certificate
	GrantsTTL string   `json:"grants_ttl,omitempty"` // exactly the lifetime granted

	Line int `json:"-"` // where the case stands in its file
}

// CaseCredential is a credential that a case asks for, as in a join request.
type CaseCredential struct {
	Type           string   `json:"type"`
	Usage          string   `json:"usage,omitempty"`
	DBUser         string   `json:"db_user,omitempty"`
	DBName         string   `json:"db_name,omitempty"`
	App            string   `json:"app,omitempty"`
	KubernetesUser string   `json:"kubernetes_user,omitempty"`
	Audience       string   `json:"audience,omitempty"`
	Roles          []string `json:"roles,omitempty"`
}

func (c CaseCredential) wish() rules.Wish { return rules.Wish(c) }

// WantJoin is the Want of a job that joins.
const WantJoin = "join"

// CaseWants returns what a case may want: "join", and the codes of refusals that follow
// from rules and claims.
func CaseWants() []string {
	wants := []string{WantJoin}
	for code, status := range api.Codes() {
		switch code {
		case api.CodeIDTokenBadSignature, api.CodeIDTokenUnknownKey, api.CodeIDTokenUnsupportedAlgorithm:
			continue // claims have no signature
		case api.CodeIDTokenWrongRequest:
			continue // a case makes no request that an ID token can be bound to
		}
		if status == 401 || status == 403 {
			wants = append(wants, string(code))
		}
	}
	slices.Sort(wants[1:])
	return wants
}

// ParseCases reads a file of cases: YAML or JSON, one document. It is strict, and its
// error is a rules.Errors. The name of the file is only for messages.
func ParseCases(file string, data []byte) (*CaseFile, error) {
	d := &decoder{file: file}
	f := &CaseFile{}
	d.decode(data, f)
	if len(d.errors) == 0 {
		d.check(f)
	}
	if len(d.errors) > 0 {
		return nil, d.errors
	}
	return f, nil
}

func (d *decoder) check(f *CaseFile) {
	if len(f.Cases) == 0 {
		d.fault(1, "cases", "is missing or empty; write at least one case")
	}
	d.name(1, "defaults.token", "name", f.Defaults.Token)
	names := map[string]int{}
	for i := range f.Cases {
		c, at := &f.Cases[i], fmt.Sprintf("cases[%d]", i)
		if line, twice := names[c.Name]; twice {
			d.fault(c.Line, at+".name", fmt.Sprintf("%q is the name of the case on line %d; give each its own", c.Name, line))
		}
		names[c.Name] = c.Line
		if c.Name == "" {
			d.fault(c.Line, at+".name", "is missing; say in a few words what is expected")
		}
		if c.Token == "" && f.Defaults.Token == "" {
			d.fault(c.Line, at+".token", "is missing; name the token rule here or under defaults")
		}
		d.name(c.Line, at+".token", "name", c.Token)
		d.name(c.Line, at+".bot", "bot_name", c.Bot)
		d.checkWant(c, at)
		d.checkCredentials(c, at+".credentials")
		d.duration(c, at+".ttl", c.TTL)
		d.duration(c, at+".grants_ttl", c.GrantsTTL)
	}
}

// name checks what nothing could be called, if there is something.
func (d *decoder) name(line int, at, field, s string) {
	if s == "" {
		return
	}
	if _, err := rules.CheckField(field, s); err != nil {
		d.fault(line, at, err.Error())
	}
}

// checkCredentials refuses what a service would call malformed: of a usage that is
// misspelt, not_permitted would come true whatever the rules are.
func (d *decoder) checkCredentials(c *Case, at string) {
	if n := len(c.Credentials); n > api.MaxCredentials {
		d.fault(c.Line, at, fmt.Sprintf("has %d entries; a join asks for at most %d", n, api.MaxCredentials))
	}
	for i, credential := range c.Credentials {
		if err := join.CheckWish(credential.wish()); err != nil {
			d.fault(c.Line, fmt.Sprintf("%s[%d]", at, i), err.Error())
		}
	}
}

func (d *decoder) checkWant(c *Case, at string) {
	switch {
	case c.Want == "":
		d.fault(c.Line, at+".want", "is missing; write join, or the code of a refusal such as no_rule_matched")
	case !slices.Contains(CaseWants(), c.Want):
		d.fault(c.Line, at+".want", fmt.Sprintf("%q is no outcome; write one of %s", c.Want, strings.Join(CaseWants(), ", ")))
	case c.Rule != nil && *c.Rule < 0:
		d.fault(c.Line, at+".rule", "is less than 0, which is the first rule of allow")
	case c.Want != WantJoin && (c.Bot != "" || c.Rule != nil || c.Logins != nil || c.GrantsTTL != ""):
		d.fault(c.Line, at, "wants a refusal, which has no bot, rule, logins or grants_ttl; remove them, or want join")
	}
}

func (d *decoder) duration(c *Case, at, s string) {
	if s == "" {
		return
	}
	if t, err := time.ParseDuration(s); err != nil || t < time.Second || t%time.Second != 0 {
		d.fault(c.Line, at, fmt.Sprintf("%q is not a duration of whole seconds, one or more; write one such as 15m", s))
	}
}
