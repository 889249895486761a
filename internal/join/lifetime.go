package join

import (
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// lifetime is how long the credentials of an answer are good for. All answers to one
// use have the same first, from and notAfter.
type lifetime struct {
	first     string    // the join id of the use's first answer
	from      time.Time // when that was; whole seconds
	notAfter  time.Time
	latest    time.Time // the latest notAfter that the bot, its roles and the service allow
	limitedBy string    // what made it another than what was asked for; empty if nothing did
}

func (l lifetime) seconds(now time.Time) int64 { return int64(l.notAfter.Sub(now) / time.Second) }

// limitTTL is the lifetime that the bot, its roles and the service allow. serviceMax is
// the service's. It is that of a first answer.
func limitTTL(req *api.JoinRequest, serviceMax time.Duration, bot *rules.Bot, roles []*rules.Role, at arrival) lifetime {
	var asked time.Duration
	if s := req.TTLSeconds; s != nil {
		asked = time.Duration(min(*s, int64(cert.MaxTTL/time.Second)+1)) * time.Second
	}
	wishes := make([]rules.Wish, len(req.Credentials))
	for i := range req.Credentials {
		wishes[i] = wish(&req.Credentials[i])
	}
	applicable := rules.Applicable(bot, roles, wishes)
	ttl, limitedBy := rules.TTL(asked, serviceMax, bot, applicable)
	longest, _ := rules.TTL(cert.MaxTTL, serviceMax, bot, applicable)
	return lifetime{
		first: at.joinID, from: at.second(), limitedBy: limitedBy,
		notAfter: at.second().Add(ttl.Truncate(time.Second)), latest: at.second().Add(longest.Truncate(time.Second)),
	}
}

// MaxAnswers is how often a use is answered. A client that tries for the minute that is
// its default sends a dozen requests; on AWS each counts, also when its signature fails,
// and so does a write that had to be sent again.
const MaxAnswers = 32

// checkUses looks at what the ID token was used for, before anything is signed. The
// store decides when the use is stored; this spares the signatures of what it would
// refuse. It returns the lifetime that is left.
func checkUses(uses map[string]store.Answer, digest string, rule *rules.TokenRule, l lifetime, now time.Time) (lifetime, error) {
	first, retry := uses[digest]
	switch {
	case retry && first.Answers >= MaxAnswers:
		return l, answeredTooOften()
	case retry:
		return l.again(first, now)
	case len(uses) >= rule.MaxJoins:
		return l, alreadyUsed(rule)
	}
	return l, nil
}

// clockLag is by how much this instance's clock may be behind that of the one that gave
// the first answer.
const clockLag = time.Minute

// again is the lifetime of a retry of a request that was answered with first: from and
// until when that answer's was, whatever is asked for now. The lifetime that it returns
// is a retry's whether or not there is an error.
func (l lifetime) again(first store.Answer, now time.Time) (lifetime, error) {
	l.first = first.JoinID
	id, err := ulid.ParseStrict(first.JoinID)
	if err != nil {
		return l, fmt.Errorf("the first answer's join id %q: %w", first.JoinID, err)
	}
	l.from = ulid.Time(id.Time()).UTC().Truncate(time.Second)
	switch {
	case !first.NotAfter.After(now):
		return l, refuse(api.CodeIDTokenAlreadyUsed,
			"this request was answered before, and the credentials of that answer have ended; let the job get a new ID token")
	case first.NotAfter.After(l.latest.Add(clockLag)):
		return l, refuse(api.CodeIDTokenAlreadyUsed,
			"this request was answered before, for longer than the bot may be given credentials by now; let the job get a new ID token")
	}
	if !first.NotAfter.Equal(l.notAfter) {
		l.notAfter, l.limitedBy = first.NotAfter, "retry"
	}
	return l, nil
}

func answeredTooOften() *Refusal {
	return refuse(api.CodeIDTokenAlreadyUsed,
		"this request was answered %d times, and is not answered again; let the job get a new ID token, and check why it sends the same request so often", MaxAnswers)
}

func alreadyUsed(rule *rules.TokenRule) *Refusal {
	return refuse(api.CodeIDTokenAlreadyUsed,
		"this ID token has made the joins that its rule allows (max_joins is %d); ask for several credentials in one join, or ask an administrator to raise max_joins",
		rule.MaxJoins)
}
