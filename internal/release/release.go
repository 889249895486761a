// Package release verifies the files of a release by its signatures (docs/release.md).
//
// A release has four small files beside its programs. SHA256SUMS lists every file. Two
// signatures are of it: SHA256SUMS.minisig by an Ed25519 key, as minisign makes them, and
// SHA256SUMS.sig by an ECDSA P-256 key, as cosign and openssl make them. The second key also
// signs provenance.intoto.jsonl, the statement of what the files were built from. All must
// hold, for each file: whatever cannot be read, or is not exactly what it should be, is an error.
package release

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"aead.dev/minisign"
)

// The files that a release is verified by, beside its programs.
const (
	SumsFile     = "SHA256SUMS"
	MinisigFile  = "SHA256SUMS.minisig"
	SigFile      = "SHA256SUMS.sig"
	EnvelopeFile = "provenance.intoto.jsonl"
	// statementFile is listed in SHA256SUMS, and is what the envelope holds.
	statementFile = "provenance.json"
)

// Repository is what releases are built from.
const Repository = "https://github.com/gatepass-ci/gatepass"

// Limits are the bytes that each of these files may have: many times what a release needs.
var Limits = map[string]int64{SumsFile: 64 << 10, MinisigFile: 2 << 10, SigFile: 1 << 10, EnvelopeFile: 256 << 10}

// Release is a release whose signatures hold.
type Release struct {
	Tag    string // such as v0.1.0
	Commit string // of git, 40 hex digits

	sums, subjects map[string]string // by the file's name, SHA-256 in hex
}

// Open verifies the signatures of a release. files are what Limits names, by name.
func Open(files map[string][]byte, keys Keys) (*Release, error) {
	for name, limit := range Limits {
		switch n := int64(len(files[name])); {
		case n == 0:
			return nil, fmt.Errorf("%s is empty or missing", name)
		case n > limit:
			return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
		}
	}
	comment, err := keys.verifyMinisig(files[SumsFile], files[MinisigFile])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", MinisigFile, err)
	}
	if err := keys.verifySig(files[SumsFile], files[SigFile]); err != nil {
		return nil, fmt.Errorf("%s: %w", SigFile, err)
	}
	sums, err := parseSums(files[SumsFile])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", SumsFile, err)
	}
	payload, err := keys.openEnvelope(files[EnvelopeFile])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvelopeFile, err)
	}
	if sums[statementFile] != digest(payload) {
		return nil, fmt.Errorf("%s: it does not hold the %s that %s lists", EnvelopeFile, statementFile, SumsFile)
	}
	r, err := parseStatement(payload)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvelopeFile, err)
	}
	if comment != "gatepass "+r.Tag {
		return nil, fmt.Errorf("%s: its trusted comment is not %q, though the provenance is of %s", MinisigFile, "gatepass "+r.Tag, r.Tag)
	}
	r.sums = sums
	return r, nil
}

// Check reports an error unless the release has a file of this name with this SHA-256, in hex.
func (r *Release) Check(name, sha256 string) error {
	listed, ok := r.sums[name]
	switch {
	case !ok:
		return fmt.Errorf("release %s has no file %q", r.Tag, name)
	case listed != sha256:
		return fmt.Errorf("its SHA-256 is %s, and release %s has another %s: %s", sha256, r.Tag, name, listed)
	case name != statementFile && r.subjects[name] != sha256:
		return fmt.Errorf("the provenance of release %s does not have %s with this SHA-256", r.Tag, name)
	}
	return nil
}

var errNoKeyFits = errors.New("no public key that is trusted here made this signature")

// verifyMinisig verifies a signature as minisign makes them, and returns its trusted comment.
// Only signatures of the hash are taken, which minisign makes by default, and only in the one
// spelling that minisign writes: no other line ends, no spaces, nothing behind it.
func (k Keys) verifyMinisig(message, text []byte) (string, error) {
	var sig minisign.Signature
	if err := sig.UnmarshalText(text); err != nil {
		return "", errors.New("it is not a signature of minisign")
	}
	if sig.String() != string(text) {
		return "", errors.New("it is not spelled as minisign writes a signature")
	}
	if sig.Algorithm != minisign.HashEdDSA {
		return "", errors.New("it is a signature of minisign's old kind")
	}
	for _, key := range k.minisign {
		if minisign.Verify(key, message, text) {
			return sig.TrustedComment, nil
		}
	}
	return "", fmt.Errorf("%w (it names the key %016X)", errNoKeyFits, sig.KeyID)
}

// verifySig verifies a signature as `cosign sign-blob` makes them: ECDSA over the SHA-256, in
// ASN.1, in base64 on one line.
func (k Keys) verifySig(message, text []byte) error {
	return k.verifyECDSA(message, strings.TrimSuffix(string(text), "\n"))
}

func (k Keys) verifyECDSA(message []byte, text string) error {
	if strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return errors.New("it has more than one line")
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return errors.New("it is not base64")
	}
	sum := sha256.Sum256(message)
	for _, key := range k.ecdsa {
		if ecdsa.VerifyASN1(key, sum[:], sig) {
			return nil
		}
	}
	return errNoKeyFits
}
