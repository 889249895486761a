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
	// plausible is an ID token that says who issued it, and that it is valid now.
	plausible struct{ presented }
	// matched is an ID token and the token rule that takes those of its issuer.
	matched struct {
		plausible
		rule   *rules.TokenRule
		expect token.Expect
	}
	// keyed is a matched ID token with the keys of its issuer, and the rule's bot, nil if
	// it does not exist. Nothing after it waits for an issuer.
	keyed struct {
		matched
		bot  *rules.Bot
		keys *token.KeySet
	}
	// signed is an ID token whose signature is its issuer's. What it said before that
	// was known is not in it.
	signed struct {
		*token.Verified
		hash   string
		rule   *rules.TokenRule
		expect token.Expect
		bot    *rules.Bot
	}
	// verified is an ID token that says what the token rule demands of all: a job's.
	verified struct{ signed }
	// bound is a job whose ID token is good for the request at hand.
	bound struct{ verified }
	// latest is a job with what may stop it, read after all that waits for an issuer: a
	// lock that was stored meanwhile is among them.
	latest struct {
		bound
		locks []*rules.Lock
		roles []*rules.Role
		uses  map[string]store.Answer // of the ID token, by digest of the request
	}
	// unlocked is a job that no lock stops.
	unlocked struct{ latest }
	// allowed is a job that its token rule lets join as a bot, which exists.
	allowed struct {
		job   verified
		rule  *rules.TokenRule
		bot   *rules.Bot
		roles []*rules.Role
		uses  map[string]store.Answer
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

// precheckIDToken is step 2: the issuer and the times, not verified yet, may already
// refuse. No token rule has a say in it, so that what it answers tells nothing of one.
func precheckIDToken(p presented, now time.Time) (plausible, error) {
	if err := p.Precheck(now); err != nil {
		return plausible{}, err
	}
	return plausible{p}, nil
}

// readRule reads the token rule, and which keys the authorities have.
func (s *Service) readRule(ctx context.Context, req *api.JoinRequest, p plausible) (matched, error) {
	var rule *rules.TokenRule
	err := s.all(ctx, func(ctx context.Context) error {
		found, err := store.Token(ctx, s.Store, req.Token)
		if errors.Is(err, store.ErrNotFound) { // no error here: it would end the other call early
			return nil
		}
		rule = found
		return unavailable("reading the token rule", err)
	}, func(ctx context.Context) error {
		s.Authorities.Prepare(ctx)
		return nil
	})
	if err != nil {
		return matched{}, err
	}
	return matchRule(req, p, rule, s.Now())
}

// matchRule gives a rule that is unknown (nil), expired, of another method or of another
// issuer one answer, after the same work: a stranger, whose ID token nobody has signed,
// learns nothing of the rules by trying names. The log says which of the four it was.
func matchRule(req *api.JoinRequest, p plausible, rule *rules.TokenRule, now time.Time) (matched, error) {
	var reason string
	switch {
	case rule == nil:
		reason = "the token rule does not exist"
	case rule.Expired(now):
		reason = "the token rule has expired"
	case req.JoinMethod != "" && req.JoinMethod != rule.JoinMethod:
		reason = "the token rule has another join method than the request"
	case p.Issuer() != rule.Issuer():
		reason = "the token rule names another issuer than the ID token"
	default:
		return matched{p, rule, Expectations(rule)}, nil
	}
	r := refuse(api.CodeTokenNotFound,
		"no token rule %q takes ID tokens of %s; check the name, and that the job runs where the rule expects it; an administrator compares by: gatepassctl get token",
		req.Token, p.QuotedIssuer())
	r.Reason = reason
	return matched{}, r
}

// Expectations are what the rule demands of the ID token itself.
func Expectations(t *rules.TokenRule) token.Expect {
	return token.Expect{
		Method: t.JoinMethod, Issuer: t.Issuer(), Audience: t.Audience(), Bind: t.Bind == rules.BindRequired,
		MaxAge: t.MaxTokenAge, Section: *t.Section(),
	}
}

// readBotAndKeys reads what the next steps need. The keys are those of the rule's
// issuer, never of the one that the ID token names. A bot that does not exist is nil:
// it is told only to a job that the rules let in. waited says that an issuer was asked.
func (s *Service) readBotAndKeys(ctx context.Context, m matched) (k keyed, waited bool, err error) {
	k.matched = m
	err = s.all(ctx, func(ctx context.Context) error {
		found, err := store.Bot(ctx, s.Store, m.rule.BotName)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		k.bot = found
		return unavailable("reading the bot", err)
	}, func(ctx context.Context) (err error) {
		k.keys, waited, err = s.findKeySet(ctx, m.expect.Issuer, m.KeyID(), m.Algorithm())
		return err
	})
	return k, waited, err
}

// readRuleAndKeys reads the rule, then the bot and the keys. If it waited for an issuer, it
// begins again: the rule may be gone meanwhile, or the bot may have other roles.
func (s *Service) readRuleAndKeys(ctx context.Context, req *api.JoinRequest, p plausible, d *diary) (keyed, error) {
	for range 2 {
		m, err := s.readRule(ctx, req, p)
		if err != nil {
			return keyed{}, err
		}
		d.rule(m.rule)
		k, waited, err := s.readBotAndKeys(ctx, m)
		if err != nil || !waited {
			return k, err
		}
	}
	return keyed{}, keysUnavailable(errors.New("the key set that was just fetched is no longer stored"))
}

// verifySignature is step 3.
func verifySignature(k keyed) (signed, error) {
	verified, err := k.VerifySignature(k.keys, k.expect.Method)
	if err != nil {
		return signed{}, err
	}
	return signed{verified, k.hash, k.rule, k.expect, k.bot}, nil
}

// checkClaims is steps 4 and 5.
func checkClaims(s signed, now time.Time) (verified, error) {
	if err := s.Check(s.expect, now); err != nil {
		return verified{}, err
	}
	return verified{s}, nil
}

// checkBinding refuses an ID token that is bound to another request: one that was stolen,
// by all that can be told. It reveals nothing of the rules but their audience, which the
// caller's own ID token has.
func checkBinding(job verified, a asked, d *diary) (bound, error) {
	binding := job.Binding(job.expect)
	d.asked(a, binding)
	return bound{job}, binding.Check(a.bindable)
}

// readLatest reads what may stop the job, and what its grants need. It comes after all
// that waits for an issuer, and is one round of calls.
func (s *Service) readLatest(ctx context.Context, job bound) (l latest, err error) {
	l.bound = job
	err = s.all(ctx, func(ctx context.Context) (err error) {
		l.locks, err = store.Locks(ctx, s.Store)
		return unavailable("reading the locks", err)
	}, func(ctx context.Context) (err error) {
		if job.bot != nil && len(job.bot.Roles) > 0 {
			l.roles, err = store.Roles(ctx, s.Store, job.bot.Roles)
		}
		return unavailable("reading the roles", err)
	}, func(ctx context.Context) (err error) {
		l.uses, err = s.Store.Uses(ctx, job.hash)
		return unavailable("reading the uses of the ID token", err)
	})
	return l, err
}

// checkLocks refuses what an administrator has stopped.
func checkLocks(l latest, now time.Time, d *diary) (unlocked, error) {
	var roles []string
	if l.bot != nil {
		roles = l.bot.Roles
	}
	lock := rules.ActiveLock(l.locks, l.rule.BotName, l.rule.Name(), roles, now)
	if lock == nil {
		return unlocked{l}, nil
	}
	d.lock(lock)
	reason := "no reason was given"
	if lock.Message != "" {
		reason = lock.Message
	}
	return unlocked{}, refuse(api.CodeLocked, "an administrator has stopped this join: %s; ask them to remove lock/%s when it may go on", reason, lock.Name())
}

// decide asks the rules.
func decide(u unlocked, d *diary) (allowed, error) {
	decision := u.rule.Decide(rules.Claims(u.Fields))
	d.decision(decision)
	switch decision.Outcome {
	case rules.Allowed:
		if u.bot == nil { // told to nobody that may not join
			return allowed{}, refuse(api.CodeNotPermitted,
				"the token rule %q is for a bot that does not exist; ask an administrator to create bot/%s", u.rule.Name(), u.rule.BotName)
		}
		return allowed{u.verified, u.rule, u.bot, u.roles, u.uses}, nil
	case rules.Denied:
		return allowed{}, refuse(api.CodeDeniedByRule, "a deny rule of %q matches this job; run it as one that the rule does not exclude, or ask an administrator", u.rule.Name())
	}
	r := refuse(api.CodeNoRuleMatched, "no allow rule of %q matches this job; compare what it presented with what you meant to allow", u.rule.Name())
	r.Problem.UnmatchedFields = decision.UnmatchedFields()
	return allowed{}, r
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
