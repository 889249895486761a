package release

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
)

// What the envelope and the statement say of themselves.
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	buildType     = Repository + "/blob/main/docs/release.md#provenance"
)

// envelope is a DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol.md).
type envelope struct {
	PayloadType string `json:"payloadType"`
	Payload     string `json:"payload"`
	Signatures  []struct {
		KeyID string `json:"keyid"`
		Sig   string `json:"sig"`
	} `json:"signatures"`
}

// openEnvelope verifies the one signature of an envelope and returns what was signed.
// A field that is there twice, or that an envelope does not have, is an error.
func (k Keys) openEnvelope(text []byte) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(text, &e, json.RejectUnknownMembers(true)); err != nil {
		return nil, errors.New("it is not a DSSE envelope")
	}
	if e.PayloadType != payloadType {
		return nil, fmt.Errorf("its payloadType is not %s", payloadType)
	}
	if len(e.Signatures) != 1 {
		return nil, fmt.Errorf("it has %d signatures, and not one", len(e.Signatures))
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(e.Payload)
	if err != nil || strings.ContainsAny(e.Payload, "\r\n") {
		return nil, errors.New("its payload is not base64")
	}
	// PAE, the pre-authentication encoding.
	message := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(payload), payload)
	if err := k.verifyECDSA(message, e.Signatures[0].Sig); err != nil {
		return nil, err
	}
	return payload, nil
}

// statement is what is read of an in-toto Statement with SLSA provenance
// (https://slsa.dev/spec/v1.0/provenance). Its readers skip fields that they do not know.
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     struct {
		BuildDefinition struct {
			BuildType          string `json:"buildType"`
			ExternalParameters struct {
				Repository string `json:"repository"`
				Ref        string `json:"ref"`
			} `json:"externalParameters"`
			ResolvedDependencies []resource `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
	} `json:"predicate"`
}

type resource struct {
	Name   string            `json:"name"`
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

var (
	tagRef    = regexp.MustCompile(`\Arefs/tags/(v[0-9][0-9A-Za-z.+-]*)\z`)
	gitCommit = regexp.MustCompile(`\A[0-9a-f]{40}\z`)
)

// parseStatement reads the provenance of a release of this repository.
func parseStatement(text []byte) (*Release, error) {
	var s statement
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, errors.New("it does not hold an in-toto statement")
	}
	build := s.Predicate.BuildDefinition
	tag := tagRef.FindStringSubmatch(build.ExternalParameters.Ref)
	switch {
	case s.Type != statementType:
		return nil, fmt.Errorf("_type is not %s", statementType)
	case s.PredicateType != predicateType:
		return nil, fmt.Errorf("predicateType is not %s", predicateType)
	case build.BuildType != buildType:
		return nil, fmt.Errorf("buildType is not %s", buildType)
	case build.ExternalParameters.Repository != Repository:
		return nil, fmt.Errorf("it is of the repository %q, and not of %s", build.ExternalParameters.Repository, Repository)
	case tag == nil:
		return nil, fmt.Errorf("it is of %q, which is not a tag of a release", build.ExternalParameters.Ref)
	}
	r := &Release{Tag: tag[1], subjects: make(map[string]string)}
	source := "git+" + Repository + "@refs/tags/" + r.Tag
	for _, d := range build.ResolvedDependencies {
		if d.URI == source && r.Commit == "" && gitCommit.MatchString(d.Digest["gitCommit"]) {
			r.Commit = d.Digest["gitCommit"]
		} else if strings.HasPrefix(d.URI, "git+") {
			return nil, fmt.Errorf("its source %q is not one commit of %s", d.URI, source)
		}
	}
	if r.Commit == "" {
		return nil, errors.New("it does not say the commit")
	}
	for _, f := range s.Subject {
		if _, twice := r.subjects[f.Name]; twice || f.Name == "" {
			return nil, fmt.Errorf("it has the subject %q twice, or without a name", f.Name)
		}
		r.subjects[f.Name] = f.Digest["sha256"]
	}
	return r, nil
}
