package join

import (
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// lifetime is how long the credentials of an answer are good for.
type lifetime struct {
	notAfter  time.Time
	limitedBy string // what made it shorter than what was asked for; empty if nothing did
	retry     bool   // this is the answer to a request that was answered before
}

func (l lifetime) seconds(now time.Time) int64 { return int64(l.notAfter.Sub(now) / time.Second) }

// limitTTL is the lifetime that the bot, its roles and the service allow. serviceMax is
// the service's.
func limitTTL(req *api.JoinRequest, serviceMax time.Duration, bot *rules.Bot, roles []*rules.Role, now time.Time) lifetime {
	var asked time.Duration
	if s := req.TTLSeconds; s != nil {
		asked = time.Duration(min(*s, int64(cert.MaxTTL/time.Second)+1)) * time.Second
	}
	wishes := make([]rules.Wish, len(req.Credentials))
	for i := range req.Credentials {
		wishes[i] = wish(&req.Credentials[i])
	}
	ttl, limitedBy := rules.TTL(asked, serviceMax, bot, rules.Applicable(bot, roles, wishes))
	return lifetime{notAfter: now.Add(ttl.Truncate(time.Second)), limitedBy: limitedBy}
}

// checkUses looks at what the ID token was used for, before anything is signed. The
// store decides when the use is stored; this spares the signatures of what it would
// refuse. It returns the lifetime that is left.
func checkUses(uses map[string]store.Answer, digest string, rule *rules.TokenRule, l lifetime, now time.Time) (lifetime, error) {
	first, retry := uses[digest]
	switch {
	case retry:
		return limitToFirst(l, first, now)
	case len(uses) >= rule.MaxJoins:
		return l, alreadyUsed(rule)
	}
	return l, nil
}

// limitToFirst makes a join a retry of one that was answered with first. The lifetime
// that it returns is a retry's whether or not there is an error.
func limitToFirst(l lifetime, first store.Answer, now time.Time) (lifetime, error) {
	l.retry = true
	if !first.NotAfter.After(now) {
		return l, refuse(api.CodeIDTokenAlreadyUsed,
			"this request was answered before, and the credentials of that answer have ended; let the job get a new ID token")
	}
	if first.NotAfter.Before(l.notAfter) {
		l.notAfter, l.limitedBy = first.NotAfter, "retry"
	}
	return l, nil
}

func alreadyUsed(rule *rules.TokenRule) *Refusal {
	return refuse(api.CodeIDTokenAlreadyUsed,
		"this ID token has made the joins that its rule allows (max_joins is %d); ask for several credentials in one join, or ask an administrator to raise max_joins",
		rule.MaxJoins)
}
