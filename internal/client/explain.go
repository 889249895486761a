package client

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// explain turns a refusal into what a reader of the build log needs: what
// happened, which of the job's claims were looked at, and what to do.
func explain(err error, idToken source.Token, tokenRule, audience string) error {
	var problem *api.Problem
	if !errors.As(err, &problem) {
		return err
	}
	detail := words.Clean(problem.Detail)
	title := problem.Code.Title()
	if title == "" {
		title = "the service refused"
	}
	code := words.Clean(string(problem.Code))
	if problem.JoinID != "" {
		code += ", join " + words.Clean(problem.JoinID)
	}
	return &cli.Error{
		Exit:  cli.Of(err).Exit,
		Err:   refusal{text: fmt.Sprintf("%s (%s): %s", title, code, detail), problem: problem},
		Notes: presented(problem),
		Hints: hints(problem, idToken, tokenRule, audience),
	}
}

// refusal is a problem with a text for people.
type refusal struct {
	text    string
	problem *api.Problem
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.problem }

// presented lists the job's own claims, and marks those that no rule accepted.
func presented(problem *api.Problem) []string {
	if len(problem.Presented) == 0 {
		return nil
	}
	fields := make([]string, 0, len(problem.Presented))
	width := 0
	for field := range problem.Presented {
		fields = append(fields, field)
		width = max(width, len(field))
	}
	for _, field := range problem.UnmatchedFields {
		if _, ok := problem.Presented[field]; !ok {
			fields = append(fields, field)
			width = max(width, len(field))
		}
	}
	sort.Strings(fields)
	notes := []string{"this job presented:"}
	for _, field := range fields {
		values := strings.Join(problem.Presented[field], ", ")
		if values == "" {
			values = "(nothing)"
		}
		mark := ""
		if slices.Contains(problem.UnmatchedFields, field) {
			mark = "   <- no rule accepts this"
		}
		notes = append(notes, fmt.Sprintf("  %-*s  %s%s", min(width, 40), words.Clean(field), words.Clean(values), mark))
	}
	return notes
}

// hints says what to do about a refusal. A code that is not known is a newer
// service's; its detail has been shown.
func hints(problem *api.Problem, idToken source.Token, tokenRule, audience string) []string {
	show := "ask who administers the service to look at the log of this time"
	if problem.JoinID != "" {
		show = "an administrator sees why with: gatepassctl joins show " + words.Clean(problem.JoinID)
	}
	rule := words.Clean(tokenRule)
	fill := strings.NewReplacer("{show}", show, "{rule}", "gatepassctl get token/"+rule, "{name}", strconv.Quote(rule), "{source}", idToken.Source, "{issuer}", issuer(idToken))
	known, ok := advice()[problem.Code]
	if !ok {
		known = []string{"{show}"}
	}
	var all []string
	if problem.Code == api.CodeIDTokenWrongAudience {
		all = source.AudienceHints(idToken.Method, audience)
	}
	for _, hint := range known {
		all = append(all, fill.Replace(hint))
	}
	return all
}

// issuer says who minted the ID token, and by which join method it is sent: the service
// tells a stranger nothing of what its token rule takes instead.
func issuer(idToken source.Token) string {
	iss, _ := idToken.Claims()["iss"].(string)
	said := "of the issuer " + words.Clean(iss)
	if idToken.Method != "" {
		said += " and is sent by the join method " + idToken.Method
	}
	return said
}

// advice is what to do about each code. {rule} is how to look at the token rule, {name}
// its name, {show} how to look at the join, {source} where the ID token is from, and
// {issuer} who minted it.
func advice() map[api.Code][]string {
	const (
		untouched   = "use the token as {source} holds it"
		signature   = untouched + "; if it is untouched, an administrator checks the issuer's keys with: gatepassctl keys ls"
		otherAge    = "join early in the step, or run the step again: a CI system mints one ID token as the job starts; max_token_age in the token rule sets the limit"
		version     = "this gatepass and the service do not fit together: compare `gatepass version` with the version at /healthz of the service"
		name        = "check --token and GATEPASS_TOKEN: {name} may be misspelt, or may have expired; administrators list them with: gatepassctl get token"
		unavailable = "run the job again in a few minutes, or give a longer --timeout; an administrator checks with: gatepassctl status"
	)
	settings := strings.Join(provider.IssuerSettings(), " or ")
	otherIssuer := "this ID token is {issuer}: compare that with join_method and " + settings + " in {rule}; the job may run in another workspace or organisation"
	return map[api.Code][]string{
		api.CodeNoRuleMatched:               {"compare the marked values with the allow rules of {rule}", "{show}"},
		api.CodeDeniedByRule:                {"a deny rule names this job on purpose; {show}"},
		api.CodeIDTokenWrongAudience:        {"the audience is the one that the token rule names: {rule}"},
		api.CodeTokenNotFound:               {name, otherIssuer},
		api.CodeIDTokenAlreadyUsed:          {"join once in a step and ask for all credentials in that join, or raise max_joins in {rule}", "if the same request was sent again: it is answered 32 times, and only while the credentials of its first answer hold; run the step again, which has a new ID token"},
		api.CodeNotPermitted:                {"the bot's roles do not grant what was asked; {show}"},
		api.CodeSSHRerunRefused:             {provider.Hint(string(api.CodeSSHRerunRefused))},
		api.CodeLocked:                      {"an administrator locked this; they list locks with: gatepassctl get lock"},
		api.CodeIDTokenExpired:              {otherAge},
		api.CodeIDTokenTooOld:               {otherAge},
		api.CodeIDTokenNotYetValid:          {"the clock of the CI system or of the service is wrong; run the job again, then tell who administers the service"},
		api.CodeIDTokenWrongIssuer:          {"the job runs in another organisation than the token rule expects; check --token, or " + settings + " in {rule}"},
		api.CodeIDTokenMalformed:            {untouched + ", and only one that a CI job got for itself"},
		api.CodeIDTokenMissingClaim:         {untouched + ", and only one that a CI job got for itself"},
		api.CodeIDTokenNotBound:             {"give --audience (GATEPASS_AUDIENCE) with the audience of {rule}, and leave out --id-token-file: gatepass then has an ID token minted for its request", "a CI system that mints one ID token as the job starts cannot join by this token rule"},
		api.CodeIDTokenWrongRequest:         {"let gatepass have the ID token minted: leave out --id-token-file, and give --audience; each join needs one of its own", "{show}"},
		api.CodeIDTokenBadSignature:         {signature},
		api.CodeIDTokenUnknownKey:           {signature},
		api.CodeIDTokenUnsupportedAlgorithm: {signature},
		api.CodeMalformedRequest:            {version},
		api.CodeUnsupportedKey:              {version},
		api.CodeUnsupportedMediaType:        {version},
		api.CodeMethodNotAllowed:            {version},
		api.CodeBodyTooLarge:                {version},
		api.CodeNotFound:                    {"check the path in --server and GATEPASS_SERVER: give the address that the deployment printed"},
		api.CodeRateLimited:                 {"run fewer jobs at a time, or give a longer --timeout"},
		api.CodeIssuerKeysUnavailable:       {"run the job again in a few minutes; an administrator checks with: gatepassctl keys ls"},
		api.CodeStoreUnavailable:            {unavailable},
		api.CodeSignerUnavailable:           {unavailable},
	}
}
