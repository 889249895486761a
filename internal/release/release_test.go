package release

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"aead.dev/minisign"
)

const (
	tag    = "v1.2.3"
	commit = "0123456789abcdef0123456789abcdef01234567"
	client = "gatepass_1.2.3_linux_amd64"
)

// signer makes releases as tools/release.sh does, and ones that it would not make.
type signer struct {
	minisign minisign.PrivateKey
	ecdsa    *ecdsa.PrivateKey
	public   Keys
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{private, key, Keys{[]minisign.PublicKey{public}, []*ecdsa.PublicKey{&key.PublicKey}}}
}

func (s *signer) minisig(message []byte, comment string) []byte {
	r := minisign.NewReader(bytes.NewReader(message))
	_, _ = new(bytes.Buffer).ReadFrom(r)
	return r.SignWithComments(s.minisign, comment, "signature")
}

func (s *signer) sig(message []byte) string {
	sum := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, s.ecdsa, sum[:])
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

func (s *signer) envelope(payloadType string, payload []byte) []byte {
	sig := s.sig(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
	return fmt.Appendf(nil, `{"payloadType":%q,"payload":%q,"signatures":[{"keyid":"","sig":%q}]}`, payloadType, base64.StdEncoding.EncodeToString(payload), sig)
}

// sign signs a list that the statement is added to, and the statement.
func (s *signer) sign(sums, statement string) map[string][]byte {
	list := []byte(sums + digest([]byte(statement)) + "  " + statementFile + "\n")
	return map[string][]byte{
		SumsFile:     list,
		MinisigFile:  s.minisig(list, "gatepass "+tag),
		SigFile:      []byte(s.sig(list) + "\n"),
		EnvelopeFile: s.envelope(payloadType, []byte(statement)),
	}
}

func sumsOf(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s  %s\n", digest([]byte(name)), name)
	}
	return b.String()
}

// statementOf is what tools/release.sh writes, of files whose content is their name.
func statementOf(names ...string) string {
	subjects := []any{}
	for _, name := range names {
		subjects = append(subjects, map[string]any{"name": name, "digest": map[string]string{"sha256": digest([]byte(name))}})
	}
	out, err := json.MarshalIndent(map[string]any{
		"_type": statementType, "predicateType": predicateType, "subject": subjects,
		"predicate": map[string]any{
			"buildDefinition": map[string]any{
				"buildType":          buildType,
				"externalParameters": map[string]string{"repository": Repository, "ref": "refs/tags/" + tag},
				"resolvedDependencies": []any{
					map[string]any{"uri": "git+" + Repository + "@refs/tags/" + tag, "digest": map[string]string{"gitCommit": commit}},
					map[string]any{"uri": "pkg:golang/std@1.26.10"},
				},
			},
			"runDetails": map[string]any{"builder": map[string]string{"id": Repository}},
		},
	}, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(out)
}

func TestVerify(t *testing.T) {
	s := newSigner(t)
	r, err := Open(s.sign(sumsOf(client, "orb.yml"), statementOf(client, "orb.yml")), s.public)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tag != tag || r.Commit != commit {
		t.Errorf("it is of %s, built from %s", r.Tag, r.Commit)
	}
	if err := r.Check(client, digest([]byte(client))); err != nil {
		t.Error(err)
	}
	if err := r.Check("other", ""); err == nil {
		t.Error("a file that is not listed is verified by an empty sum")
	}
	// A list without the file, another file of the same list, and a path.
	for name, content := range map[string]string{"gatepassctl_1.2.3_linux_amd64": "x", client: "orb.yml", "./" + client: client, "": client, statementFile: client} {
		if err := r.Check(name, digest([]byte(content))); err == nil {
			t.Errorf("%q with the content %q is verified", name, content)
		}
	}
}

// The provenance must have each file too.
func TestAFileThatTheProvenanceLacks(t *testing.T) {
	s := newSigner(t)
	for name, statement := range map[string]string{
		"absent":       statementOf("orb.yml"),
		"another sum":  strings.Replace(statementOf(client), digest([]byte(client)), digest([]byte("orb.yml")), 1),
		"another hash": strings.Replace(statementOf(client), `"sha256"`, `"sha512"`, 1),
	} {
		r, err := Open(s.sign(sumsOf(client), statement), s.public)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Check(client, digest([]byte(client))); err == nil {
			t.Errorf("%s: it is verified", name)
		}
	}
}

// Whatever is not exactly a signed release is refused: verifiers that said yes when they could
// not parse are CVE-2026-22703, -24122, -39395 and -54787.
func TestHostileReleases(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	sums, statement := sumsOf(client, "orb.yml"), statementOf(client, "orb.yml")
	good := s.sign(sums, statement)
	edit := func(file string, f func(string) string) map[string][]byte {
		files := maps.Clone(good)
		files[file] = []byte(f(string(good[file])))
		return files
	}
	with := func(file string, content []byte) map[string][]byte {
		return edit(file, func(string) string { return string(content) })
	}
	replace := func(old, new string) func(string) string {
		return func(text string) string {
			if !strings.Contains(text, old) {
				t.Fatalf("there is no %q", old)
			}
			return strings.Replace(text, old, new, 1)
		}
	}
	pure := minisign.SignWithComments(s.minisign, good[SumsFile], "gatepass "+tag, "signature")
	var sig minisign.Signature
	if err := sig.UnmarshalText(good[MinisigFile]); err != nil {
		t.Fatal(err)
	}
	legacy := sig
	legacy.Algorithm = minisign.EdDSA
	wrongID := sig
	wrongID.KeyID++
	exchanged := bytes.Replace(s.envelope("text/plain", []byte(statement)), []byte("text/plain"), []byte(payloadType), 1)
	noPAE := fmt.Appendf(nil, `{"payloadType":%q,"payload":%q,"signatures":[{"sig":%q}]}`, payloadType, base64.StdEncoding.EncodeToString([]byte(statement)), s.sig([]byte(statement)))
	unlisted := maps.Clone(good)
	unlisted[SumsFile], unlisted[MinisigFile], unlisted[SigFile] = []byte(sums), s.minisig([]byte(sums), "gatepass "+tag), []byte(s.sig([]byte(sums)))
	behind, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(good[SigFile])))
	if err != nil {
		t.Fatal(err)
	}
	behind = []byte(base64.StdEncoding.EncodeToString(append(behind, 0)))
	huge := bytes.Repeat([]byte("x"), 1<<20)

	for name, test := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		// The list.
		"another list":                    {edit(SumsFile, replace("a", "b")), MinisigFile},
		"a line more":                     {edit(SumsFile, func(s string) string { return s + sumsOf("more") }), MinisigFile},
		"an empty list":                   {with(SumsFile, nil), "SHA256SUMS is empty or missing"},
		"a huge list":                     {with(SumsFile, huge), "SHA256SUMS has more than"},
		"a name twice":                    {s.sign(sums+digest(nil)+"  "+client+"\n", statement), "a second time"},
		"a name twice, same sum":          {s.sign(sums+sumsOf(client), statement), "a second time"},
		"a path":                          {s.sign(sums+sumsOf("../"+client), statement), "line 3 is not"},
		"an absolute path":                {s.sign(sums+sumsOf("/bin/sh"), statement), "line 3 is not"},
		"a hidden file":                   {s.sign(sums+sumsOf(".profile"), statement), "line 3 is not"},
		"an escaped name":                 {s.sign(sums+`\`+sumsOf("a"), statement), "line 3 is not"},
		"a name with a space":             {s.sign(sums+sumsOf("a b"), statement), "line 3 is not"},
		"CRLF":                            {s.sign(strings.ReplaceAll(sums, "\n", "\r\n"), statement), "line 1 is not"},
		"binary mode":                     {s.sign(strings.Replace(sums, "  ", " *", 1), statement), "line 1 is not"},
		"upper case":                      {s.sign(strings.ToUpper(sums), statement), "line 1 is not"},
		"a short sum":                     {s.sign(sums[1:], statement), "line 1 is not"},
		"an empty line":                   {s.sign("\n"+sums, statement), "line 1 is not"},
		"a comment":                       {s.sign("# x\n"+sums, statement), "line 1 is not"},
		"NUL":                             {s.sign(sums+"\x00\n", statement), "line 3 is not"},
		"a list that lacks the statement": {unlisted, "does not hold the provenance.json"},

		// The signature of minisign.
		"no minisig":              {with(MinisigFile, nil), "SHA256SUMS.minisig is empty or missing"},
		"a huge minisig":          {with(MinisigFile, huge), "SHA256SUMS.minisig has more than"},
		"another's minisig":       {with(MinisigFile, other.minisig(good[SumsFile], "gatepass "+tag)), "no public key that is trusted"},
		"minisig, another key":    {with(MinisigFile, []byte(wrongID.String())), "no public key that is trusted"},
		"minisig of other bytes":  {with(MinisigFile, s.minisig([]byte("other"), "gatepass "+tag)), "no public key that is trusted"},
		"minisig of the old kind": {with(MinisigFile, pure), "old kind"},
		"minisig, kind changed":   {with(MinisigFile, []byte(legacy.String())), "old kind"},
		"trusted comment":         {edit(MinisigFile, replace("gatepass "+tag, "gatepass v9.9.9")), "no public key that is trusted"},
		"signed for another tag":  {with(MinisigFile, s.minisig(good[SumsFile], "gatepass v9.9.9")), "its trusted comment is not"},
		"signed for something":    {with(MinisigFile, s.minisig(good[SumsFile], "backup")), "its trusted comment is not"},
		"minisig, text behind":    {edit(MinisigFile, func(s string) string { return s + "x" }), "not a signature of minisign"},
		"minisig, lines behind":   {edit(MinisigFile, func(s string) string { return s + "\n\n" }), "not spelled"},
		"minisig twice":           {edit(MinisigFile, func(s string) string { return s + s }), "not a signature of minisign"},
		"minisig with CRLF":       {edit(MinisigFile, func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }), "not spelled"},
		"minisig cut":             {edit(MinisigFile, func(s string) string { return s[:len(s)-20] }), "not a signature of minisign"},
		"minisig, comment only":   {with(MinisigFile, []byte("untrusted comment: x\n\ntrusted comment: gatepass "+tag+"\n\n")), "not a signature of minisign"},

		// The signature of cosign.
		"no sig":             {with(SigFile, nil), "SHA256SUMS.sig is empty or missing"},
		"a huge sig":         {with(SigFile, huge), "SHA256SUMS.sig has more than"},
		"another's sig":      {with(SigFile, []byte(other.sig(good[SumsFile]))), "no public key that is trusted"},
		"sig of other bytes": {with(SigFile, []byte(s.sig(good[EnvelopeFile]))), "no public key that is trusted"},
		"sig, not base64":    {with(SigFile, []byte("%%%")), "not base64"},
		"sig, empty line":    {with(SigFile, []byte("\n")), "no public key that is trusted"},
		"sig, zeros":         {with(SigFile, []byte(base64.StdEncoding.EncodeToString([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}))), "no public key that is trusted"},
		"sig, two lines":     {edit(SigFile, func(s string) string { return s + s }), "more than one line"},
		"sig with CRLF":      {edit(SigFile, replace("\n", "\r\n")), "more than one line"},
		"sig, bytes behind":  {with(SigFile, behind), "no public key that is trusted"},

		// The envelope.
		"no envelope":                {with(EnvelopeFile, nil), "provenance.intoto.jsonl is empty or missing"},
		"a huge envelope":            {with(EnvelopeFile, huge), "provenance.intoto.jsonl has more than"},
		"another's envelope":         {with(EnvelopeFile, other.envelope(payloadType, []byte(statement))), "no public key that is trusted"},
		"envelope, not JSON":         {with(EnvelopeFile, []byte("yes")), "not a DSSE envelope"},
		"envelope, null":             {with(EnvelopeFile, []byte("null")), "payloadType is not"},
		"envelope, a list":           {with(EnvelopeFile, []byte("["+string(good[EnvelopeFile])+"]")), "not a DSSE envelope"},
		"envelope, JSON behind":      {edit(EnvelopeFile, func(s string) string { return s + "{}" }), "not a DSSE envelope"},
		"envelope, payload twice":    {edit(EnvelopeFile, replace(`{"payloadType"`, `{"payload":"e30=","payloadType"`)), "not a DSSE envelope"},
		"envelope, other case":       {edit(EnvelopeFile, replace(`"payload":`, `"Payload":`)), "not a DSSE envelope"},
		"envelope, another field":    {edit(EnvelopeFile, replace(`{"payloadType"`, `{"cert":"x","payloadType"`)), "not a DSSE envelope"},
		"envelope, no signature":     {edit(EnvelopeFile, func(s string) string { return s[:strings.Index(s, `[{`)] + "[]}" }), "0 signatures"},
		"envelope, two signatures":   {edit(EnvelopeFile, replace(`[{`, `[{"keyid":"","sig":"AAAA"},{`)), "2 signatures"},
		"envelope, payload in lines": {edit(EnvelopeFile, replace(`"payload":"`, `"payload":"\n`)), "payload is not base64"},
		"envelope, another type":     {with(EnvelopeFile, s.envelope("text/plain", []byte(statement))), "payloadType is not"},
		"envelope, type exchanged":   {with(EnvelopeFile, exchanged), "no public key that is trusted"},
		"envelope, another payload":  {with(EnvelopeFile, s.envelope(payloadType, []byte(statementOf("other")))), "does not hold the provenance.json"},
		"signed without PAE":         {with(EnvelopeFile, noPAE), "no public key that is trusted"},

		// The statement.
		"statement, not JSON":         {s.sign(sums, "yes"), "not hold an in-toto statement"},
		"statement, null":             {s.sign(sums, "null"), "_type is not"},
		"statement, a field twice":    {s.sign(sums, replace(`"_type"`, `"_type": "x", "_type"`)(statement)), "not hold an in-toto statement"},
		"statement, JSON behind":      {s.sign(sums, statement+"{}"), "not hold an in-toto statement"},
		"statement, another version":  {s.sign(sums, replace("Statement/v1", "Statement/v0.1")(statement)), "_type is not"},
		"statement, no provenance":    {s.sign(sums, replace(predicateType, "https://spdx.dev/Document")(statement)), "predicateType is not"},
		"statement, another build":    {s.sign(sums, replace("release.md#provenance", "other")(statement)), "buildType is not"},
		"statement, a fork":           {s.sign(sums, replace(`"repository": "`+Repository, `"repository": "https://github.com/evil/gatepass`)(statement)), "repository"},
		"statement, a branch":         {s.sign(sums, replace(`"ref": "refs/tags/`+tag, `"ref": "refs/heads/main`)(statement)), "not a tag of a release"},
		"statement, another tag":      {s.sign(sums, strings.ReplaceAll(statement, tag, "v1.2.2")), "its trusted comment is not"},
		"statement, two tags":         {s.sign(sums, replace(`"ref": "refs/tags/`+tag, `"ref": "refs/tags/v1.2.2`)(statement)), "is not one commit"},
		"statement, a line end":       {s.sign(sums, replace(`"ref": "refs/tags/`+tag, `"ref": "refs/tags/`+tag+`\n`)(statement)), "not a tag of a release"},
		"statement, a fork's commit":  {s.sign(sums, replace("git+"+Repository, "git+https://github.com/evil/gatepass")(statement)), "is not one commit"},
		"statement, no commit":        {s.sign(sums, replace("git+"+Repository, "https://example.com")(statement)), "does not say the commit"},
		"statement, a short commit":   {s.sign(sums, replace(commit, commit[:7])(statement)), "is not one commit"},
		"statement, two commits":      {s.sign(sums, replace(`"uri": "pkg:golang/std@1.26.10"`, `"digest": {"gitCommit": "`+strings.Repeat("f", 40)+`"}, "uri": "git+`+Repository+"@refs/tags/"+tag+`"`)(statement)), "is not one commit"},
		"statement, a subject twice":  {s.sign(sums, statementOf(client, client)), "twice"},
		"statement, a subject's name": {s.sign(sums, statementOf("")), "without a name"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Open(test.files, s.public)
			if err == nil || r != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v: %v, and not %q", r, err, test.want)
			}
		})
	}
}

// Keys are one public key each, and a release needs one of both kinds.
func TestKeys(t *testing.T) {
	s := newSigner(t)
	mini, err := s.public.minisign[0].MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	p256, other := publicPEM(t, elliptic.P256()), publicPEM(t, elliptic.P384())
	for name, test := range map[string]struct{ text, want string }{
		"minisign":               {string(mini) + "\n", ""},
		"PEM":                    {p256, ""},
		"another curve":          {other, "not of ECDSA with P-256"},
		"two keys":               {p256 + p256, "not one PUBLIC KEY"},
		"two keys of minisign":   {string(mini) + "\n" + string(mini), "not a public key of minisign"},
		"text behind":            {p256 + "x", "not one PUBLIC KEY"},
		"a certificate":          {strings.ReplaceAll(p256, "PUBLIC KEY", "CERTIFICATE"), "not one PUBLIC KEY"},
		"a private key":          {strings.ReplaceAll(p256, "PUBLIC KEY", "ENCRYPTED PRIVATE KEY"), "this is a private key"},
		"minisign's secret key":  {"untrusted comment: minisign encrypted secret key\nAAAA\n", "this is a private key"},
		"minisign, cut":          {string(mini[:len(mini)-4]), "not a public key of minisign"},
		"minisign, in two lines": {string(mini[:len(mini)-4]) + "\n" + string(mini[len(mini)-4:]) + "\n", "not a public key of minisign"},
		"nothing":                {"", "neither"},
		"a line":                 {"RWQ", "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			var keys Keys
			err := keys.Add([]byte(test.text))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, and not %q", err, test.want)
			}
			if err != nil && len(keys.minisign)+len(keys.ecdsa) > 0 {
				t.Error("it is among the keys")
			}
			if keys.Complete() == nil {
				t.Error("one key is enough")
			}
		})
	}
	if _, err := readKeys(fstest.MapFS{"keys/README.md": {}}); !errors.Is(err, ErrNoKeys) {
		t.Errorf("without keys: %v", err)
	}
	if _, err := readKeys(fstest.MapFS{"keys/minisign.pub": {Data: mini}}); err == nil {
		t.Error("one key is enough")
	}
	both, err := readKeys(fstest.MapFS{"keys/minisign.pub": {Data: mini}, "keys/cosign.pub": {Data: []byte(p256)}})
	if err != nil || both.Complete() != nil {
		t.Errorf("both: %v", err)
	}
}

// What is committed is either no key, or a key of each kind.
func TestPinnedKeys(t *testing.T) {
	if _, err := Pinned(); err != nil && !errors.Is(err, ErrNoKeys) {
		t.Error(err)
	}
}

// Without keys nothing holds.
func TestNoKeys(t *testing.T) {
	s := newSigner(t)
	if _, err := Open(s.sign(sumsOf(client), statementOf(client)), Keys{}); err == nil {
		t.Error("it is verified by no key")
	}
}

// A release is also good by the second of two keys: a rotation.
func TestTwoKeysOfAKind(t *testing.T) {
	s, next := newSigner(t), newSigner(t)
	both := Keys{append(s.public.minisign, next.public.minisign...), append(s.public.ecdsa, next.public.ecdsa...)}
	for _, signer := range []*signer{s, next} {
		if _, err := Open(signer.sign(sumsOf(client), statementOf(client)), both); err != nil {
			t.Error(err)
		}
	}
}

func publicPEM(t *testing.T, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
