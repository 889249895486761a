package rules

import "go.yaml.in/yaml/v3"

// resource reads a document into wire. Teleport's spellings are understood
// here and nowhere else.
func (r *reader) resource(root *yaml.Node) (w wire) {
	o := r.object(root, &path{})
	if o == nil {
		return w
	}
	w.Kind, w.Version = o.text("kind"), o.text("version")
	o.object("metadata", func(m *object) {
		w.Metadata.Name = m.text("name")
		w.Metadata.Description = m.prose("description")
		w.Metadata.Labels = m.labels("labels")
		w.Metadata.Expires = m.time("expires")
		m.skip("namespace", "revision", "id")
	})
	o.skip("revision", "id", "status")
	o.emptySubKind()
	if w.newSpec() == nil {
		if at := o.at.field("kind"); !r.reported("kind") {
			r.fail(root, &at, "%s", kindProblem(string(w.Kind)))
		}
		return w
	}
	if at := o.at.field("spec"); o.fields["spec"] == nil {
		r.fail(root, &at, "is missing; write what the %s says under it", w.Kind)
	}
	o.object("spec", func(spec *object) {
		switch {
		case w.bot != nil:
			*w.bot = spec.bot()
		case w.token != nil:
			*w.token = spec.token()
		case w.role != nil:
			*w.role = spec.role()
		default:
			*w.lock = spec.lock()
		}
	})
	o.done()
	return w
}

func (o *object) labels(name string) map[string]string {
	labels := map[string]string{}
	o.object(name, func(l *object) {
		for key := range l.fields {
			labels[key] = string(l.prose(key))
		}
	})
	return labels
}

func (o *object) bot() (w wireBot) {
	w.Roles = o.texts("roles")
	o.objects("traits", func(t *object) {
		w.Traits = append(w.Traits, wireTrait{Name: t.text("name"), Values: t.texts("values")})
	})
	w.MaxSessionTTL = o.text("max_session_ttl")
	return w
}

func (o *object) token() (w wireToken) {
	w.Roles = o.texts("roles")
	w.JoinMethod = o.text("join_method")
	w.BotName = o.text("bot_name")
	w.MaxJoins = o.integer("max_joins")
	w.MaxTokenAge = o.text("max_token_age")
	o.object("bitbucket", func(b *object) { w.Bitbucket = b.bitbucket() })
	o.object("circleci", func(c *object) { w.CircleCI = c.circleCI() })
	o.suggestions()
	return w
}

func (o *object) bitbucket() *wireBitbucket {
	w := &wireBitbucket{
		IdentityProviderURL: o.text("identity_provider_url"),
		Audience:            o.text("audience"),
		EnableGlobMatching:  o.flag("enable_glob_matching"),
	}
	rule := func(list *[]wireBitbucketRule) func(*object) {
		return func(r *object) {
			*list = append(*list, wireBitbucketRule{
				WorkspaceUUID:             r.raw("workspace_uuid"),
				RepositoryUUID:            r.raw("repository_uuid"),
				DeploymentEnvironmentUUID: r.raw("deployment_environment_uuid"),
				BranchName:                r.text("branch_name"),
			})
		}
	}
	o.objects("allow", rule(&w.Allow))
	o.objects("deny", rule(&w.Deny))
	return w
}

func (o *object) circleCI() *wireCircleCI {
	w := &wireCircleCI{
		OrganizationID:     o.raw("organization_id"),
		Audience:           o.text("audience"),
		Issuer:             o.text("issuer"),
		EnableGlobMatching: o.flag("enable_glob_matching"),
		AllowSSHRerun:      o.flag("allow_ssh_rerun"),
		AllowForks:         o.flag("allow_forks"),
	}
	rule := func(list *[]wireCircleCIRule) func(*object) {
		return func(r *object) {
			*list = append(*list, wireCircleCIRule{
				ContextID:            r.raw("context_id"),
				ProjectID:            r.raw("project_id"),
				PipelineDefinitionID: r.raw("pipeline_definition_id"),
				VCSOrigin:            r.text("vcs_origin"),
				VCSRef:               r.text("vcs_ref"),
			})
		}
	}
	o.objects("allow", rule(&w.Allow))
	o.objects("deny", rule(&w.Deny))
	return w
}

func (o *object) lock() (w wireLock) {
	o.object("target", func(t *object) {
		w.Target = wireTarget{Bot: t.text("bot"), Token: t.text("token"), Role: t.text("role"), All: t.flag("all")}
		if token := t.text("join_token"); token != "" { // Teleport's name of it
			if w.Target.Token != "" {
				t.r.fail(t.node, t.at, "has token and join_token, which mean the same; remove one")
			}
			w.Target.Token = token
		}
	})
	w.Message = o.prose("message")
	w.Expires = o.time("expires")
	return w
}

func (o *object) role() (w wireRole) {
	o.object("allow", func(c *object) {
		w.Allow = c.conditions()
		w.Allow.NodeLabels = c.nodeLabels()
		c.teleportConditions(true)
	})
	o.object("deny", func(c *object) {
		w.Deny = c.conditions()
		c.teleportConditions(false)
	})
	o.object("options", func(c *object) { w.Options = c.options() })
	return w
}

func (o *object) conditions() wireConditions {
	return wireConditions{
		Logins:           o.texts(fieldLogins),
		DBUsers:          o.texts(fieldDBUsers),
		DBNames:          o.texts(fieldDBNames),
		KubernetesUsers:  o.texts(fieldKubernetesUsers),
		KubernetesGroups: o.texts(fieldKubernetesGroups),
		AppNames:         o.texts(fieldAppNames),
		JWTAudiences:     o.texts(fieldJWTAudiences),
	}
}

func (o *object) options() wireOptions {
	w := wireOptions{
		MaxSessionTTL:   o.text("max_session_ttl"),
		PermitPTY:       o.flag("permit_pty"),
		PortForwarding:  o.portForwarding(),
		AgentForwarding: o.either("agent_forwarding", "forward_agent"),
		X11Forwarding:   o.either("x11_forwarding", "permit_x11_forwarding"),
		PinSourceIP:     o.flag("pin_source_ip"),
		ForceCommand:    o.prose("force_command"),
	}
	o.objects("cert_extensions", func(e *object) {
		w.CertExtensions = append(w.CertExtensions, wireCertExtension{
			Type: e.text("type"), Mode: e.text("mode"), Name: e.text("name"), Value: string(e.prose("value")),
		})
	})
	o.teleportOptions()
	return w
}
