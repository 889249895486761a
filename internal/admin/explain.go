package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Question is what Explain is asked: would this job join by this token rule?
type Question struct {
	// Token is the name of the token rule. If it is empty, it is the only one of the
	// ID token's issuer.
	Token string
	// IDToken is a compact JWS, or Claims the JSON of its payload. Verified says that
	// the claims are of an ID token whose signature was verified when it was used.
	IDToken  string
	Claims   []byte
	Verified bool
	// Now is when the rules and locks are asked, and Presented when the ID token is
	// shown; the zero time means Now.
	Now, Presented time.Time
	// TTL is the lifetime asked for, 0 for the default, and Wishes are the
	// credentials: a refused one refuses the join. Without any, all roles apply.
	TTL    time.Duration
	Wishes []rules.Wish
}

// AmbiguousError says that a question names no token rule, and that not exactly
// one is of the ID token's issuer.
type AmbiguousError struct {
	Issuer string
	Tokens []string
}

func (e *AmbiguousError) Error() string {
	if len(e.Tokens) == 0 {
		return fmt.Sprintf("no token rule is for the issuer %q", e.Issuer)
	}
	return fmt.Sprintf("several token rules are for the issuer %s: %s", e.Issuer, strings.Join(e.Tokens, ", "))
}

// Explain answers q. It makes every check that it can, so that all that is wrong
// is seen at once; it claims nothing and records nothing. store.ErrNotFound says
// that there is no such token rule.
func Explain(ctx context.Context, reasons Reasons, q Question) (Explanation, error) {
	if q.Presented.IsZero() {
		q.Presented = q.Now
	}
	e := &explainer{reasons: reasons, q: q}
	if err := e.findRule(ctx); err != nil {
		return Explanation{}, err
	}
	e.Token, e.Bot, e.Code = e.rule.Name(), e.rule.BotName, store.CodeOK
	claims := e.idToken(ctx)
	bot, err := e.bot(ctx)
	if err != nil {
		return Explanation{}, err
	}
	if err := e.locks(ctx, bot); err != nil {
		return Explanation{}, err
	}
	if claims != nil {
		e.decide(claims.Fields)
	}
	if bot == nil {
		e.add("bot", "not_permitted", "bot/"+e.rule.BotName+" does not exist")
		return e.Explanation, nil
	}
	return e.Explanation, e.roles(ctx, bot)
}

// ExplainRecord explains a join by its record: its ID token as it was then, by
// the rules and locks as they are now.
func ExplainRecord(ctx context.Context, reasons Reasons, r store.Record, now time.Time) (Explanation, error) {
	claims, err := json.Marshal(r.Claims)
	if err != nil {
		return Explanation{}, fmt.Errorf("the claims of join %s: %w", r.JoinID, err)
	}
	e, err := Explain(ctx, reasons, Question{Token: r.Token, Claims: claims, Verified: true, Now: now, Presented: r.Time})
	if errors.Is(err, store.ErrNotFound) {
		e = Explanation{Token: r.Token, Bot: r.Bot, Code: codeTokenNotFound}
		e.Checks = []Check{{"token rule", codeTokenNotFound, "token/" + r.Token + " does not exist any more"}}
	} else if err != nil {
		return Explanation{}, err
	}
	e.compareWith(r)
	return e, nil
}

const codeTokenNotFound = "token_not_found"

type explainer struct {
	Explanation
	reasons Reasons
	q       Question
	rule    *rules.TokenRule
}

// add notes a check. The first one that refuses decides the whole.
func (e *explainer) add(name, code, detail string) {
	e.Checks = append(e.Checks, Check{name, code, detail})
	if e.Code == store.CodeOK && code != store.CodeOK && code != CodeUnknown {
		e.Code = code
	}
}

func (e *explainer) addError(name string, err error, good string) {
	refusal, ok := errors.AsType[*token.Error](err)
	switch {
	case err == nil:
		e.add(name, store.CodeOK, good)
	case ok:
		e.add(name, string(refusal.Code), refusal.Detail)
	default:
		e.add(name, CodeUnknown, err.Error())
	}
}

func (e *explainer) findRule(ctx context.Context) (err error) {
	if e.q.Token != "" {
		e.rule, err = store.Token(ctx, e.reasons, e.q.Token)
		return err
	}
	tokens, err := store.Tokens(ctx, e.reasons)
	if err != nil {
		return fmt.Errorf("reading every token rule: %w", err)
	}
	ambiguous := &AmbiguousError{Issuer: e.q.issuer()}
	for _, t := range tokens {
		if t.Issuer() == ambiguous.Issuer || len(tokens) == 1 {
			e.rule = t
			ambiguous.Tokens = append(ambiguous.Tokens, t.Name())
		}
	}
	if len(ambiguous.Tokens) != 1 {
		return ambiguous
	}
	return nil
}

func (e *explainer) decide(fields map[string][]string) {
	d := e.rule.Decide(rules.Claims(fields))
	if d.Rule >= 0 {
		e.Rule = &d.Rule
	}
	e.Rules = e.rule.Compare(rules.Claims(fields))
	for _, r := range e.Rules {
		for i := range r.Fields {
			r.Fields[i].Got = append([]string{}, r.Fields[i].Got...) // in JSON a list, also of an absent claim
		}
	}
	switch d.Outcome {
	case rules.Allowed:
		e.add("rules", store.CodeOK, fmt.Sprintf("allow[%d] matches", d.Rule))
	case rules.Denied:
		e.add("rules", "denied_by_rule", fmt.Sprintf("deny[%d] matches", d.Rule))
	default:
		e.add("rules", "no_rule_matched", "no allow rule matches")
	}
}

// bot returns the bot, nil if it does not exist.
func (e *explainer) bot(ctx context.Context) (*rules.Bot, error) {
	bot, err := store.Bot(ctx, e.reasons, e.rule.BotName)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return bot, err
}

func (e *explainer) locks(ctx context.Context, bot *rules.Bot) error {
	locks, err := store.Locks(ctx, e.reasons)
	if err != nil {
		return err
	}
	var roles []string
	if bot != nil {
		roles = bot.Roles
	}
	lock := rules.ActiveLock(locks, e.rule.BotName, e.rule.Name(), roles, e.q.Now)
	if lock == nil {
		e.add("locks", store.CodeOK, "none applies")
		return nil
	}
	detail := "lock/" + lock.Name()
	if lock.Message != "" {
		detail += ": " + lock.Message
	}
	e.add("locks", "locked", detail)
	return nil
}
