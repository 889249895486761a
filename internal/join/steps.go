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

// state is what the steps of an attempt find out, each for those after it.
type state struct {
	parsed      *token.Parsed
	rule        *rules.TokenRule
	expect      token.Expect
	locks       []*rules.Lock
	bot         *rules.Bot // nil if it does not exist
	keySet      *token.KeySet
	verified    *token.Verified // set as soon as the signature verifies
	roles       []*rules.Role
	uses        map[string]time.Time // of the ID token, by digest
	grants      []*grant
	authorities *api.Authorities
	digest      string
	notAfter    time.Time
	recorded    bool
}

// parseIDToken is step 1: what can be told from the token's form alone.
func (a *attempt) parseIDToken(context.Context) (err error) {
	a.parsed, err = token.Parse(a.req.IDToken)
	if err != nil {
		return err
	}
	sum := a.parsed.Hash()
	a.record.IDToken = hex.EncodeToString(sum[:])
	return nil
}

// readRule reads the token rule and the locks, and which keys the authorities have.
// A rule that is unknown and one
// that has expired look alike to the caller.
func (a *attempt) readRule(ctx context.Context) error {
	err := parallel(ctx, func(ctx context.Context) (err error) {
		a.rule, err = store.Token(ctx, a.Store, a.req.Token)
		return unavailable("reading the token rule", err)
	}, func(ctx context.Context) (err error) {
		a.locks, err = store.Locks(ctx, a.Store)
		return unavailable("reading the locks", err)
	}, func(ctx context.Context) error {
		a.Authorities.Prepare(ctx)
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || a.rule.Expired(a.record.Time) {
		return refuse(api.CodeTokenNotFound,
			"there is no token rule %q, or it has expired; check the name, and ask an administrator to run: gatepassctl get token", a.req.Token)
	}
	if m := a.req.JoinMethod; m != "" && m != a.rule.JoinMethod {
		return refuse(api.CodeJoinMethodMismatch,
			"this request joins by %q and the token rule %q by %q; leave join_method out, or name another token rule", m, a.req.Token, a.rule.JoinMethod)
	}
	a.record.Bot, a.record.Method = a.rule.BotName, a.rule.JoinMethod
	a.expect = Expectations(a.rule)
	return nil
}

// Expectations are what the rule demands of the ID token itself.
func Expectations(t *rules.TokenRule) token.Expect {
	e := token.Expect{Method: t.JoinMethod, Issuer: t.Issuer(), Audience: t.Audience(), MaxAge: t.MaxTokenAge}
	if c := t.CircleCI; c != nil {
		e.OrganizationID = c.OrganizationID
		e.RequireOrgID = c.Issuer != ""
		e.AllowSSHRerun = c.AllowSSHRerun
	}
	return e
}

// precheckIDToken is step 2: the claims, not verified yet, may already refuse.
func (a *attempt) precheckIDToken(context.Context) error {
	return a.parsed.Precheck(a.expect, a.record.Time)
}

// readBotAndKeys reads what the next steps need. A bot that does not exist is
// told only to a job that the rules let in.
func (a *attempt) readBotAndKeys(ctx context.Context) error {
	return parallel(ctx, func(ctx context.Context) error {
		bot, err := store.Bot(ctx, a.Store, a.rule.BotName)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		a.bot = bot
		return unavailable("reading the bot", err)
	}, func(ctx context.Context) (err error) {
		a.keySet, err = a.findKeySet(ctx, a.expect.Issuer, a.parsed.KeyID(), a.parsed.Algorithm())
		return err
	})
}

// verifyIDToken is steps 3 to 5. From here on every refusal is recorded.
func (a *attempt) verifyIDToken(context.Context) error {
	verified, err := a.parsed.VerifySignature(a.keySet, a.expect.Method)
	if err != nil {
		return err
	}
	a.verified = verified
	a.record.Claims = verified.Claims
	return verified.Check(a.expect, a.record.Time)
}

// checkLocks refuses what an administrator has stopped.
func (a *attempt) checkLocks(context.Context) error {
	var roles []string
	if a.bot != nil {
		roles = a.bot.Roles
	}
	lock := rules.ActiveLock(a.locks, a.rule.BotName, a.rule.Name(), roles, a.record.Time)
	if lock == nil {
		return nil
	}
	a.record.Lock = lock.Name()
	reason := "no reason was given"
	if lock.Message != "" {
		reason = lock.Message
	}
	return refuse(api.CodeLocked, "an administrator has stopped this join: %s; ask them to remove lock/%s when it may go on", reason, lock.Name())
}

// decide asks the rules.
func (a *attempt) decide(context.Context) error {
	d := a.rule.Decide(rules.Claims(a.verified.Fields))
	if d.Rule >= 0 {
		a.record.Rule = &d.Rule
	}
	switch d.Outcome {
	case rules.Allowed:
		if a.bot == nil { // told to nobody that may not join
			return refuse(api.CodeNotPermitted,
				"the token rule %q is for a bot that does not exist; ask an administrator to create bot/%s", a.rule.Name(), a.rule.BotName)
		}
		return nil
	case rules.Denied:
		return refuse(api.CodeDeniedByRule, "a deny rule of %q matches this job; run it as one that the rule does not exclude, or ask an administrator", a.rule.Name())
	}
	a.record.Mismatches, a.record.MismatchesLeftOut = store.Mismatches(d.Mismatches)
	r := refuse(api.CodeNoRuleMatched, "no allow rule of %q matches this job; compare what it presented with what you meant to allow", a.rule.Name())
	r.Problem.UnmatchedFields = d.UnmatchedFields()
	return r
}

// readRolesAndClaim reads what the grants need, and what the ID token was used for.
func (a *attempt) readRolesAndClaim(ctx context.Context) error {
	return parallel(ctx, func(ctx context.Context) (err error) {
		if len(a.bot.Roles) > 0 {
			a.roles, err = store.Roles(ctx, a.Store, a.bot.Roles)
		}
		return unavailable("reading the roles", err)
	}, func(ctx context.Context) (err error) {
		a.uses, err = a.Store.Uses(ctx, a.record.IDToken)
		return unavailable("reading the claim", err)
	})
}

// checkGrants is step 7: every credential asked for must be granted, and its key
// be one that is signed. A refusal up to here spends nothing.
func (a *attempt) checkGrants(ctx context.Context) error {
	keys := make(map[string]publicKey, len(a.req.Credentials))
	wishes := make([]rules.Wish, 0, len(a.req.Credentials))
	for i := range a.req.Credentials {
		c := &a.req.Credentials[i]
		key, err := parsePublicKey(c)
		if err != nil {
			return err
		}
		keys[c.Name] = key
		w := wish(c)
		wishes = append(wishes, w)
		g, err := a.grant(ctx, c, w, key)
		if err != nil {
			return err
		}
		a.grants = append(a.grants, g)
	}

	var asked time.Duration
	if s := a.req.TTLSeconds; s != nil {
		asked = time.Duration(min(*s, int64(cert.MaxTTL/time.Second)+1)) * time.Second
	}
	ttl, limitedBy := rules.TTL(asked, a.MaxTTL, a.bot, rules.Applicable(a.bot, a.roles, wishes))
	a.notAfter = a.now.Add(ttl.Truncate(time.Second))
	a.record.TTLLimitedBy = limitedBy

	var err error
	if a.digest, err = digest(a.req, keys, a.Rand); err != nil {
		return err
	}
	a.record.Digest = a.digest
	return nil
}

// checkUses looks at what the ID token was used for, before anything is signed.
// The claim decides; this spares the signatures of what it would refuse.
func (a *attempt) checkUses(context.Context) error {
	first, retry := a.uses[a.digest]
	if !retry {
		if len(a.uses) >= a.rule.MaxJoins {
			return a.alreadyUsed()
		}
		return nil
	}
	return a.limitToFirst(first)
}

// readAuthorities finds what servers trust, before anything is claimed: nothing
// that can fail comes between the claim and the answer.
func (a *attempt) readAuthorities(ctx context.Context) (err error) {
	if a.authorities, err = authority.Publish(ctx, a.Authorities); err != nil {
		return signerUnavailable(err)
	}
	return nil
}

// limitToFirst makes this join a retry of one whose credentials end at first.
func (a *attempt) limitToFirst(first time.Time) error {
	a.record.Retry = true
	if !first.After(a.now) {
		return refuse(api.CodeIDTokenAlreadyUsed,
			"this request was answered before, and the credentials of that answer have ended; let the job get a new ID token")
	}
	if first.Before(a.notAfter) {
		a.notAfter = first
		a.record.TTLLimitedBy = "retry"
	}
	return nil
}

func (a *attempt) alreadyUsed() *Refusal {
	return refuse(api.CodeIDTokenAlreadyUsed,
		"this ID token has made the joins that its rule allows (max_joins is %d); ask for several credentials in one join, or ask an administrator to raise max_joins",
		a.rule.MaxJoins)
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
