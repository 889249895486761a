package join

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// What the steps of run find out. Each type is made by one step and says that it has
// passed, so that none after it can be done before it.
type (
	// presented is an ID token of the right form.
	presented struct {
		*token.Parsed
		hash string // lower-case hexadecimal SHA-256 of its signing input
	}
	// plausible is an ID token that the token rule would take if its signature is good.
	plausible struct {
		presented
		expect token.Expect
	}
	// signed is an ID token whose signature is its issuer's. What it said before that
	// was known is not in it.
	signed struct {
		*token.Verified
		hash   string
		expect token.Expect
	}
	// verified is an ID token that says what the token rule demands of all: a job's.
	verified struct{ signed }
	// unlocked is a token rule and its bot, which no lock stops. The bot is nil if it
	// does not exist.
	unlocked struct {
		rule *rules.TokenRule
		bot  *rules.Bot
	}
	// allowed is a job that a token rule lets join as a bot.
	allowed struct {
		job  verified
		rule *rules.TokenRule
		bot  *rules.Bot
	}
)

// parseIDToken is step 1: what can be told from the token's form alone.
func parseIDToken(text string) (presented, error) {
	parsed, err := token.Parse(text)
	if err != nil {
		return presented{}, err
	}
	sum := parsed.Hash()
	return presented{parsed, hex.EncodeToString(sum[:])}, nil
}

// readRule reads the token rule and the locks, and which keys the authorities have. A
// rule that is unknown and one that has expired look alike to the caller.
func (s *Service) readRule(ctx context.Context, req *api.JoinRequest, now time.Time) (rule *rules.TokenRule, locks []*rules.Lock, err error) {
	err = s.all(ctx, func(ctx context.Context) (err error) {
		rule, err = store.Token(ctx, s.Store, req.Token)
		return unavailable("reading the token rule", err)
	}, func(ctx context.Context) (err error) {
		locks, err = store.Locks(ctx, s.Store)
		return unavailable("reading the locks", err)
	}, func(ctx context.Context) error {
		s.Authorities.Prepare(ctx)
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, nil, err
	}
	if err != nil || rule.Expired(now) {
		return nil, nil, refuse(api.CodeTokenNotFound,
			"there is no token rule %q, or it has expired; check the name, and ask an administrator to run: gatepassctl get token", req.Token)
	}
	if m := req.JoinMethod; m != "" && m != rule.JoinMethod {
		return nil, nil, refuse(api.CodeJoinMethodMismatch,
			"this request joins by %q and the token rule %q by %q; leave join_method out, or name another token rule", m, req.Token, rule.JoinMethod)
	}
	return rule, locks, nil
}

// Expectations are what the rule demands of the ID token itself.
func Expectations(t *rules.TokenRule) token.Expect {
	return token.Expect{Method: t.JoinMethod, Issuer: t.Issuer(), Audience: t.Audience(), MaxAge: t.MaxTokenAge, Section: *t.Section()}
}

// precheckIDToken is step 2: the claims, not verified yet, may already refuse.
func precheckIDToken(p presented, rule *rules.TokenRule, now time.Time) (plausible, error) {
	expect := Expectations(rule)
	if err := p.Precheck(expect, now); err != nil {
		return plausible{}, err
	}
	return plausible{p, expect}, nil
}

// readBotAndKeys reads what the next steps need. The keys are those of the rule's
// issuer, never of the one that the ID token names. A bot that does not exist is nil:
// it is told only to a job that the rules let in.
func (s *Service) readBotAndKeys(ctx context.Context, rule *rules.TokenRule, p plausible) (bot *rules.Bot, keys *token.KeySet, err error) {
	err = s.all(ctx, func(ctx context.Context) error {
		found, err := store.Bot(ctx, s.Store, rule.BotName)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		bot = found
		return unavailable("reading the bot", err)
	}, func(ctx context.Context) (err error) {
		keys, err = s.findKeySet(ctx, p.expect.Issuer, p.KeyID(), p.Algorithm())
		return err
	})
	return bot, keys, err
}

// verifySignature is step 3.
func verifySignature(p plausible, keys *token.KeySet) (signed, error) {
	verified, err := p.VerifySignature(keys, p.expect.Method)
	if err != nil {
		return signed{}, err
	}
	return signed{verified, p.hash, p.expect}, nil
}

// checkClaims is steps 4 and 5.
func checkClaims(s signed, now time.Time) (verified, error) {
	if err := s.Check(s.expect, now); err != nil {
		return verified{}, err
	}
	return verified{s}, nil
}

// checkLocks is step 6: it refuses what an administrator has stopped.
func checkLocks(locks []*rules.Lock, rule *rules.TokenRule, bot *rules.Bot, now time.Time, d *diary) (unlocked, error) {
	var roles []string
	if bot != nil {
		roles = bot.Roles
	}
	lock := rules.ActiveLock(locks, rule.BotName, rule.Name(), roles, now)
	if lock == nil {
		return unlocked{rule, bot}, nil
	}
	d.lock(lock)
	reason := "no reason was given"
	if lock.Message != "" {
		reason = lock.Message
	}
	return unlocked{}, refuse(api.CodeLocked, "an administrator has stopped this join: %s; ask them to remove lock/%s when it may go on", reason, lock.Name())
}

// decide asks the rules.
func decide(u unlocked, job verified, d *diary) (allowed, error) {
	decision := u.rule.Decide(rules.Claims(job.Fields))
	d.decision(decision)
	switch decision.Outcome {
	case rules.Allowed:
		if u.bot == nil { // told to nobody that may not join
			return allowed{}, refuse(api.CodeNotPermitted,
				"the token rule %q is for a bot that does not exist; ask an administrator to create bot/%s", u.rule.Name(), u.rule.BotName)
		}
		return allowed{job, u.rule, u.bot}, nil
	case rules.Denied:
		return allowed{}, refuse(api.CodeDeniedByRule, "a deny rule of %q matches this job; run it as one that the rule does not exclude, or ask an administrator", u.rule.Name())
	}
	r := refuse(api.CodeNoRuleMatched, "no allow rule of %q matches this job; compare what it presented with what you meant to allow", u.rule.Name())
	r.Problem.UnmatchedFields = decision.UnmatchedFields()
	return allowed{}, r
}

// readRolesAndUses reads what the grants need, and what the ID token was used for.
func (s *Service) readRolesAndUses(ctx context.Context, a allowed) (roles []*rules.Role, uses map[string]store.Answer, err error) {
	err = s.all(ctx, func(ctx context.Context) (err error) {
		if len(a.bot.Roles) > 0 {
			roles, err = store.Roles(ctx, s.Store, a.bot.Roles)
		}
		return unavailable("reading the roles", err)
	}, func(ctx context.Context) (err error) {
		uses, err = s.Store.Uses(ctx, a.job.hash)
		return unavailable("reading the uses of the ID token", err)
	})
	return roles, uses, err
}

// readAuthorities finds what servers trust, before the use is stored: nothing that can
// fail comes between that and the answer.
func (s *Service) readAuthorities(ctx context.Context) (*api.Authorities, error) {
	authorities, err := s.published.Publish(ctx, s.Authorities)
	if err != nil {
		return nil, signerUnavailable(err)
	}
	return authorities, nil
}

// wish is what a credential request asks of the rules.
func wish(c *api.CredentialRequest) rules.Wish {
	return rules.Wish{
		Type: c.Type, Usage: c.Usage,
		DBUser: c.DBUser, DBName: c.DBName, App: c.App, KubernetesUser: c.KubernetesUser,
		Audience: c.Audience, Roles: c.Roles,
	}
}

// purpose is the authority that signs a credential.
func purpose(c *api.CredentialRequest) cert.Purpose { return authority.SignerOf(c.Type, c.Usage) }

// unavailable makes an error of the store one that refuses the join, save for ErrNotFound.
func unavailable(doing string, err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return err
	}
	return storeUnavailable(fmt.Errorf("%s: %w", doing, err))
}
