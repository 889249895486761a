package rules

import "github.com/gatepass-ci/gatepass/pkg/provider"

func (l *linter) token(t *TokenRule) {
	if !l.bots[t.BotName] {
		l.warn("spec.bot_name", "there is no bot %q%s, so no job can join; create it or name another", t.BotName, didYouMean(t.BotName, l.bots))
	}
	if t.Metadata.Expires.IsZero() {
		l.warn("metadata.expires", "is missing: the rule holds until somebody removes it; write when it shall end")
	}
	p := provider.Of(t.JoinMethod)
	if p == nil {
		return
	}
	if p.Mints && t.Bind != BindRequired {
		l.find(SeverityInfo, "spec.bind", "is not required: a thief can use a stolen ID token before the job does; write bind: required, and it is good for the job's own request only, to which gatepass binds what %s mints", p.Name)
	}
	for _, a := range p.Lint(t.Section()) {
		severity := SeverityWarning
		if a.Info {
			severity = SeverityInfo
		}
		l.find(severity, "spec."+t.JoinMethod+"."+a.Field, "%s", a.Message)
	}
}
