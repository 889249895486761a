package rules_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// differentialWorld makes rules and jobs of few values, so that many meet, and bends most
// jobs a little: what nearly matches is where two readings part.
type differentialWorld struct{ *rand.Rand }

func (g differentialWorld) one(in int) bool { return g.IntN(in) == 0 }

func pick[T any](g differentialWorld, of ...T) T { return of[g.IntN(len(of))] }

var differentialIDs = []string{"1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c", "2de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"}

// id is one of two, spelt in one of its ways.
func (g differentialWorld) id() string {
	id := pick(g, differentialIDs...)
	if g.one(3) {
		id = strings.ToUpper(id)
	}
	if g.one(2) {
		id = "{" + id + "}"
	}
	return id
}

// text is a value of a field that is not an id, as a job has it.
func (g differentialWorld) text(f plainField) string {
	switch f.name {
	case "repository_id", "repository_owner_id":
		return pick(g, "74", "75")
	case "repository":
		return pick(g, "acme/shop", "acme/blog")
	case "event_name":
		return pick(g, "push", "push", "push", "workflow_dispatch", "pull_request", "pull_request_target", "merge_group")
	case "ref", "vcs_ref":
		return pick(g, "refs/heads/main", "refs/heads/main", "refs/heads/release/1", "refs/pull/7/head", "refs/heads/pull/7", "refs/heads/pull")
	case "vcs_origin":
		return pick(g, "github.com/acme/shop", "github.com/mallory/shop")
	case "branch_name":
		return pick(g, "main", "release/1", "réf/é", "a*b")
	}
	return pick(g, "main", "shop", "sh*p")
}

// glob puts stars and question marks into a value, also where they go wrong.
func (g differentialWorld) glob(value string) string {
	if g.one(6) {
		return pick(g, "*", "**", "*?", "?*")
	}
	runes := []rune(value)
	for range 1 + g.IntN(3) {
		at := g.IntN(len(runes) + 1)
		end := min(len(runes), at+g.IntN(4))
		with := []rune(pick(g, "*", "*", "?", "??", "**", "*?"))
		runes = slices.Concat(runes[:at], with, runes[end:])
	}
	return string(runes)
}

func (g differentialWorld) rule() plainRule {
	method := pick(g, "bitbucket", "circleci", "github")
	r := plainRule{method: method, section: map[string]any{"audience": "https://join.example.com"}}
	flags := []string{"enable_glob_matching"}
	switch method {
	case "bitbucket":
		r.section["identity_provider_url"] = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	case "circleci":
		r.section["organization_id"] = g.id()
		if g.one(3) {
			r.section["issuer"] = "https://circle.example.com"
		}
		flags = append(flags, "allow_ssh_rerun", "allow_forks")
	}
	for _, flag := range flags {
		if g.one(3) {
			r.section[flag] = g.one(2)
		}
	}
	for range 1 + g.IntN(3) {
		r.allow = append(r.allow, g.fields(r, true))
	}
	for range g.IntN(3) {
		r.deny = append(r.deny, g.fields(r, false))
	}
	return r
}

// fields is a rule of one list. An allow rule names what it has to: the first or the second
// field of each CI is among those of which it needs one.
func (g differentialWorld) fields(r plainRule, allow bool) map[string]string {
	all := plainFields[r.method]
	names := []int{g.IntN(len(all))}
	if allow {
		names[0] = g.IntN(2)
	}
	for range g.IntN(3) {
		names = append(names, g.IntN(len(all)))
	}
	rule := map[string]string{}
	for _, i := range names {
		f := all[i]
		switch value := g.text(f); {
		case f.id:
			rule[f.name] = g.id()
		case f.name == "repository" || f.name == "ref" && !strings.HasPrefix(value, "refs/"):
			rule[f.name] = value
		case f.glob && g.one(3):
			for ok := false; !ok; {
				rule[f.name] = g.glob(value)
				ok = f.name != "ref" || strings.HasPrefix(rule[f.name], "refs/") || strings.HasPrefix(rule[f.name], "*")
			}
		default:
			rule[f.name] = value
		}
	}
	return rule
}

// job has claims that suit one rule of the token, mostly, and then is bent.
func (g differentialWorld) job(r plainRule) provider.Claims {
	job := provider.Claims{"stepUuid": "step", "run_id": "1", "oidc.circleci.com/org-id": r.section["organization_id"]}
	if r.method != "circleci" || r.section["issuer"] == nil && g.one(4) {
		delete(job, "oidc.circleci.com/org-id")
	}
	suited := pick(g, append(slices.Clone(r.allow), r.deny...)...)
	for _, f := range plainFields[r.method] {
		value := g.text(f)
		if f.id {
			value = g.id()
		}
		if want, ok := suited[f.name]; ok && !g.one(12) {
			value = want
			if f.glob {
				value = strings.NewReplacer("*", pick(g, "", "x", "a/b", "*"), "?", pick(g, "x", "é", "?")).Replace(want)
			}
			if f.id && g.one(2) {
				value = strings.ToUpper(value)
			}
		}
		if job[f.claim] = value; f.list {
			job[f.claim] = g.list(value)
		}
	}
	if r.method == "circleci" && g.one(6) {
		job["oidc.circleci.com/ssh-rerun"] = pick[any](g, true, false, false, "false", nil, "")
	}
	for g.one(3) {
		claims := slices.Sorted(maps.Keys(job))
		g.bend(job, pick(g, claims...))
	}
	return job
}

// list has the value among others, or what is not a list of texts.
func (g differentialWorld) list(value string) any {
	return pick[any](g, []any{value}, []any{value}, []any{g.id(), value}, []any{value, ""}, []any{value, nil}, []any{}, value)
}

func (g differentialWorld) bend(job provider.Claims, claim string) {
	value, _ := job[claim].(string)
	job[claim] = pick[any](g, "", nil, int64(74), true, []any{value}, map[string]any{"x": value}, value+"2", value+" ", "x"+value, value+"\n",
		strings.ToUpper(value), "{"+value+"}", "{"+value, value+"}", strings.Trim(value, "{}"), strings.TrimSuffix(value, "n"))
	if g.one(4) {
		delete(job, claim)
	}
}
