package rules

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// unbuild is the inverse of build: r as its file would say it, in canonical form.
func unbuild(r Resource) wire {
	m := r.Meta()
	w := wire{header: header{
		Kind: text(r.Kind()),
		Metadata: wireMetadata{
			Name: text(m.Name), Description: text(m.Description), Labels: m.Labels, Expires: formatTime(m.Expires),
		},
	}}
	switch r := r.(type) {
	case *Bot:
		w.Version, w.bot = botVersion, unbuildBot(r)
	case *TokenRule:
		w.Version, w.token = tokenVersion, unbuildToken(r)
	case *Role:
		w.Version, w.role = text(r.Version), unbuildRole(r)
	case *Lock:
		w.Version = lockVersion
		w.lock = &wireLock{
			Target: wireTarget{
				Bot: text(r.Target.Bot), Token: text(r.Target.Token), Role: text(r.Target.Role), All: r.Target.All,
			},
			Message: text(r.Message),
			Expires: formatTime(r.Expires),
		}
	}
	return w
}

func unbuildBot(b *Bot) *wireBot {
	w := &wireBot{Roles: texts(b.Roles), MaxSessionTTL: formatDuration(b.MaxSessionTTL)}
	for _, name := range slices.Sorted(maps.Keys(b.Traits)) {
		w.Traits = append(w.Traits, wireTrait{Name: text(name), Values: texts(b.Traits[name])})
	}
	return w
}

func unbuildToken(t *TokenRule) *wireToken {
	w := &wireToken{
		Roles:       []text{tokenRole},
		JoinMethod:  text(t.JoinMethod),
		BotName:     text(t.BotName),
		MaxJoins:    &t.MaxJoins,
		MaxTokenAge: formatDuration(t.MaxTokenAge),
	}
	if b := t.Bitbucket; b != nil {
		w.Bitbucket = &wireBitbucket{
			IdentityProviderURL: text(b.IdentityProviderURL),
			Audience:            text(b.Audience),
			EnableGlobMatching:  b.EnableGlobMatching,
			Allow:               each(b.Allow, unbuildBitbucketRule),
			Deny:                each(b.Deny, unbuildBitbucketRule),
		}
	}
	if c := t.CircleCI; c != nil {
		w.CircleCI = &wireCircleCI{
			OrganizationID:     text(c.OrganizationID),
			Audience:           text(c.Audience),
			Issuer:             text(c.Issuer),
			EnableGlobMatching: c.EnableGlobMatching,
			AllowSSHRerun:      c.AllowSSHRerun,
			AllowForks:         c.AllowForks,
			Allow:              each(c.Allow, unbuildCircleCIRule),
			Deny:               each(c.Deny, unbuildCircleCIRule),
		}
	}
	return w
}

func unbuildBitbucketRule(r BitbucketRule) wireBitbucketRule {
	return wireBitbucketRule{
		WorkspaceUUID:             text(r.WorkspaceUUID),
		RepositoryUUID:            text(r.RepositoryUUID),
		DeploymentEnvironmentUUID: text(r.DeploymentEnvironmentUUID),
		BranchName:                text(r.BranchName),
	}
}

func unbuildCircleCIRule(r CircleCIRule) wireCircleCIRule {
	return wireCircleCIRule{
		ContextID:            text(r.ContextID),
		ProjectID:            text(r.ProjectID),
		PipelineDefinitionID: text(r.PipelineDefinitionID),
		VCSOrigin:            text(r.VCSOrigin),
		VCSRef:               text(r.VCSRef),
	}
}

func unbuildRole(r *Role) *wireRole {
	o := r.Options
	return &wireRole{
		Allow: unbuildConditions(r.Allow),
		Deny:  unbuildConditions(r.Deny),
		Options: wireOptions{
			MaxSessionTTL:   formatDuration(o.MaxSessionTTL),
			PermitPTY:       o.PermitPTY,
			PortForwarding:  o.PortForwarding,
			AgentForwarding: o.AgentForwarding,
			X11Forwarding:   o.X11Forwarding,
			PinSourceIP:     o.PinSourceIP,
			ForceCommand:    text(o.ForceCommand),
			CertExtensions: each(o.CertExtensions, func(e CertExtension) wireCertExtension {
				return wireCertExtension{Type: text(e.Type), Mode: text(e.Mode), Name: text(e.Name), Value: e.Value}
			}),
		},
	}
}

func unbuildConditions(c Conditions) wireConditions {
	return wireConditions{
		Logins:           texts(c.Logins),
		NodeLabels:       unbuildLabels(c.NodeLabels),
		DBUsers:          texts(c.DBUsers),
		DBNames:          texts(c.DBNames),
		KubernetesUsers:  texts(c.KubernetesUsers),
		KubernetesGroups: texts(c.KubernetesGroups),
		AppNames:         texts(c.AppNames),
		JWTAudiences:     texts(c.JWTAudiences),
	}
}

func unbuildLabels(labels map[string][]string) wireLabels {
	if labels == nil {
		return nil
	}
	w := wireLabels{}
	for name, values := range labels {
		w[name] = texts(values)
	}
	return w
}

func texts(list []string) []text {
	return each(list, func(s string) text { return text(s) })
}

// each applies f to every element; an empty list gives nil.
func each[From, To any](list []From, f func(From) To) []To {
	if len(list) == 0 {
		return nil
	}
	out := make([]To, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// formatDuration writes 1h where time.Duration writes 1h0m0s.
func formatDuration(d time.Duration) text {
	if d == 0 {
		return ""
	}
	s := d.String() // 1h0m0s
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return text(s)
}

func formatTime(t time.Time) text {
	if t.IsZero() {
		return ""
	}
	return text(t.UTC().Format(time.RFC3339Nano))
}
