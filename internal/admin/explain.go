package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Question is what Explain is asked: would this job join by this token rule?
type Question struct {
	Token string
	// IDToken is a compact JWS, or Claims the JSON of its payload.
	IDToken string
	Claims  []byte
	Now     time.Time
}

// Explanation says, check by check, what a join would come to.
type Explanation struct {
	Token  string  `json:"token"`
	Bot    string  `json:"bot"`
	Checks []Check `json:"checks"`
	// Code is "ok", or the code of the first check that refuses.
	Code string `json:"code"`
	// Rule is the allow or deny rule that matched.
	Rule       *int                `json:"rule,omitempty"`
	Mismatches []join.RuleMismatch `json:"mismatches,omitempty"`
	Presented  map[string][]string `json:"presented"`
	Grants     []RoleGrants        `json:"grants,omitempty"`
	// TTL is the default lifetime and what limits it.
	TTLSeconds   int64  `json:"ttl_seconds,omitempty"`
	TTLLimitedBy string `json:"ttl_limited_by,omitempty"`
}

// Check is one step of a join.
type Check struct {
	Name   string `json:"name"`
	Code   string `json:"code"` // "ok", "unknown" if it could not be made, or a code of a refusal
	Detail string `json:"detail"`
}

// CodeUnknown is the code of a check that could not be made.
const CodeUnknown = "unknown"

// RoleGrants is what one role grants, templates filled in and denials taken away.
type RoleGrants struct {
	Role   string `json:"role"`
	Grants string `json:"grants"`
}

// Explain answers q by the stored rules. It makes every check that it can, so
// that all that is wrong is seen at once; it claims nothing and records nothing.
func Explain(ctx context.Context, store Store, q Question) (Explanation, error) {
	rule, err := store.Token(ctx, q.Token)
	if err != nil {
		return Explanation{}, err
	}
	e := &explainer{store: store, q: q, rule: rule}
	e.Token, e.Bot, e.Code = rule.Name(), rule.BotName, join.CodeOK
	if rule.Expired(q.Now) {
		e.add("token rule", "token_not_found", "it expired at "+rule.Metadata.Expires.Format(time.RFC3339))
	} else {
		e.add("token rule", join.CodeOK, fmt.Sprintf("%s, for bot/%s", rule.JoinMethod, rule.BotName))
	}
	if err := e.idToken(ctx); err != nil {
		return Explanation{}, err
	}
	if err := e.bot(ctx); err != nil {
		return Explanation{}, err
	}
	return e.Explanation, nil
}

type explainer struct {
	Explanation
	store Store
	q     Question
	rule  *rules.Token
}

// add notes a check. The first one that refuses decides the whole.
func (e *explainer) add(name, code, detail string) {
	e.Checks = append(e.Checks, Check{name, code, detail})
	if e.Code == join.CodeOK && code != join.CodeOK && code != CodeUnknown {
		e.Code = code
	}
}

func (e *explainer) addError(name string, err error, good string) {
	refusal, ok := errors.AsType[*token.Error](err)
	switch {
	case err == nil:
		e.add(name, join.CodeOK, good)
	case ok:
		e.add(name, string(refusal.Code), refusal.Detail)
	default:
		e.add(name, CodeUnknown, err.Error())
	}
}

// idToken checks the form, the signature and the claims.
func (e *explainer) idToken(ctx context.Context) error {
	var claims *token.Unverified
	var err error
	if e.q.IDToken != "" {
		var parsed *token.Parsed
		if parsed, err = token.Parse(e.q.IDToken); err == nil {
			e.add("form", join.CodeOK, fmt.Sprintf("%s, kid %q", parsed.Algorithm(), parsed.KeyID()))
			e.signature(ctx, parsed)
			claims, err = parsed.Unverified(e.rule.JoinMethod)
		}
	} else {
		e.add("signature", CodeUnknown, "not checked: claims were given without their token")
		claims, err = token.ParseClaims(e.q.Claims, e.rule.JoinMethod)
	}
	if err != nil {
		e.addError("form", err, "")
		return nil
	}
	e.Presented = claims.Fields
	e.addError("claims", claims.Check(join.Expectations(e.rule), e.q.Now), "issuer, audience, times and the claims that every job has")
	e.decide(claims.Fields)
	return nil
}

func (e *explainer) signature(ctx context.Context, parsed *token.Parsed) {
	stored, err := e.store.KeySet(ctx, e.rule.Issuer())
	switch {
	case errors.Is(err, join.ErrNotFound) || err == nil && len(stored.JWKS) == 0:
		e.add("signature", CodeUnknown, "not checked: no keys of the issuer are stored; run gatepassctl keys refresh")
		return
	case err != nil:
		e.add("signature", CodeUnknown, err.Error())
		return
	}
	keys, err := token.ParseKeySet(stored.JWKS)
	if err == nil {
		_, err = parsed.VerifySignature(keys, e.rule.JoinMethod)
	}
	good := "verified by the stored keys of the issuer"
	if stored.Stale(e.q.Now) {
		good += ", which are too old to be used: run gatepassctl keys refresh"
	}
	e.addError("signature", err, good)
}

func (e *explainer) decide(fields map[string][]string) {
	d := e.rule.Decide(rules.Claims(fields))
	if d.Rule >= 0 {
		e.Rule = &d.Rule
	}
	e.Mismatches, _ = join.Mismatches(d.Mismatches)
	switch d.Outcome {
	case rules.Allowed:
		e.add("rules", join.CodeOK, fmt.Sprintf("allow[%d] matches", d.Rule))
	case rules.Denied:
		e.add("rules", "denied_by_rule", fmt.Sprintf("deny[%d] matches", d.Rule))
	default:
		e.add("rules", "no_rule_matched", "no allow rule matches")
	}
}

// bot checks the bot, its locks and its roles.
func (e *explainer) bot(ctx context.Context) error {
	bot, err := e.store.Bot(ctx, e.rule.BotName)
	if errors.Is(err, join.ErrNotFound) {
		e.add("bot", "not_permitted", "bot/"+e.rule.BotName+" does not exist")
		return nil
	}
	if err != nil {
		return err
	}
	locks, err := e.store.Locks(ctx)
	if err != nil {
		return err
	}
	if lock := rules.ActiveLock(locks, bot.Name(), e.rule.Name(), bot.Roles, e.q.Now); lock != nil {
		e.add("locks", "locked", fmt.Sprintf("lock/%s: %s", lock.Name(), lock.Message))
	} else {
		e.add("locks", join.CodeOK, "none applies")
	}
	var roles []*rules.Role
	if len(bot.Roles) > 0 {
		if roles, err = e.store.Roles(ctx, bot.Roles); err != nil {
			return err
		}
	}
	e.grants(bot, roles)
	return nil
}

func (e *explainer) grants(bot *rules.Bot, roles []*rules.Role) {
	if missing := missingRoles(bot, roles); len(missing) > 0 {
		e.add("roles", "not_permitted", "these do not exist: "+strings.Join(missing, ", "))
		return
	}
	e.add("roles", join.CodeOK, dashIfEmpty(strings.Join(bot.Roles, ", ")))
	for _, r := range roles {
		e.Grants = append(e.Grants, RoleGrants{r.Name(), describe(r.Allow)})
	}
	ttl, limitedBy := rules.TTL(0, join.MaxTTL, bot, roles)
	e.TTLSeconds, e.TTLLimitedBy = int64(ttl/time.Second), limitedBy
	if ssh, err := bot.Grant(roles, rules.Wish{Type: "ssh"}); err == nil {
		e.add("ssh", join.CodeOK, "logins "+strings.Join(ssh.Logins, ", "))
	} else {
		e.add("ssh", CodeUnknown, err.Error())
	}
}

func missingRoles(bot *rules.Bot, roles []*rules.Role) []string {
	known := map[string]bool{}
	for _, r := range roles {
		known[r.Name()] = true
	}
	var missing []string
	for _, name := range bot.Roles {
		if !known[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// describe lists what a role allows, as written.
func describe(c rules.Conditions) string {
	var parts []string
	for _, part := range []struct {
		name   string
		values []string
	}{
		{"logins", c.Logins}, {"db_users", c.DBUsers}, {"db_names", c.DBNames},
		{"kubernetes_users", c.KubernetesUsers}, {"kubernetes_groups", c.KubernetesGroups},
		{"app_names", c.AppNames}, {"jwt_audiences", c.JWTAudiences},
	} {
		if len(part.values) > 0 {
			parts = append(parts, part.name+" "+strings.Join(part.values, ","))
		}
	}
	return dashIfEmpty(strings.Join(parts, "; "))
}

func dashIfEmpty(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
