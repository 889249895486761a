package advisories

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// advisory is what is known of one published fault, or of several of a kind.
type advisory struct {
	id   string // its numbers, or where it was told
	of   string // the product, and the version with the fix
	kind string
	test func(*testing.T) // shows that it is not here
	held []string         // tests elsewhere that show it: the package's folder and the test's name
	why  string           // it cannot exist here
}

var advisories = []advisory{
	{id: "CVE-2025-52477", of: "octo-sts 0.5.3", kind: "requests to an address of the iss of a token", test: issuerOfTheToken,
		held: []string{"internal/jwks TestDialsOnlyPublicAddresses", "internal/jwks TestRebinding"}},
	{id: "CVE-2026-22772", of: "fulcio 1.8.5", kind: "a pattern of issuers that others match", test: issuersThatLookAlike},
	{id: "CVE-2026-49478", of: "fulcio 1.8.6", kind: "a redirect of the discovery replaces the keys", test: redirectedDiscovery,
		held: []string{"internal/jwks TestFetchHostileAnswers", "internal/jwks TestFetchHostileDiscovery"}},
	{id: "CVE-2026-105770", of: "octo-sts 0.11.2", kind: "the policy is told in errors", test: policyInErrors,
		held: []string{"pkg/rules TestRefusalsTellNoOtherValues", "internal/server TestStrangersLearnNothing"}},
	{id: "CVE-2025-66506", of: "fulcio 1.8.3", kind: "memory by a token of dots", test: tokenOfDots},
	{id: "CVE-2025-30204", of: "golang-jwt 5.2.2", kind: "memory by a token of dots", test: tokenOfDots},
	{id: "CVE-2025-3757, CVE-2025-4658", of: "openpubkey 0.10, opkssh 0.5", kind: "a crafted JWS passes", test: craftedJWS,
		held: []string{"internal/token TestWycheproof", "internal/token TestAlgorithmConfusion", "internal/token TestParseForm"}},
	{id: "opkssh 593, 596, 597", of: "opkssh, 2026-08", kind: "a malformed row panics, and principals that are unsafe", test: malformedRules,
		held: []string{"pkg/rules FuzzParse", "pkg/rules TestGrantsAreValidated"}},
	{id: "CVE-2025-44005, CVE-2026-30836", of: "step-ca 0.29, 0.30", kind: "a path that skips authorization", test: pathsThatSignNothing,
		held: []string{"test/attack TestHTTPTricks", "internal/server TestEscapedPathsAreOthers"}},
	{id: "CVE-2025-66406", of: "step-ca 0.29", kind: "revocation without the right", test: pathsThatSignNothing},
	{id: "CVE-2026-40097", of: "step-ca 0.30", kind: "a panic while a request is read",
		held: []string{"internal/server TestAPanicIsRecorded", "internal/server FuzzDecodeJoin", "internal/cert FuzzParseCSR"}},
	{id: "CVE-2025-6203, CVE-2025-12044, CVE-2025-59043", of: "Vault, OpenBao", kind: "JSON that takes all memory or time", test: hostileJSON,
		held: []string{"test/attack TestJSONTricks"}},
	{id: "CVE-2025-4166, CVE-2025-52893, CVE-2025-62513, CVE-2025-62705, CVE-2026-46358", of: "Vault, OpenBao", kind: "secrets in errors and logs", test: secretsInErrors,
		held: []string{"internal/server TestDecodeErrorsQuoteNoValue", "internal/server TestWhatIsMalformedIsNotLogged"}},
	{id: "Teleport 67708", of: "Teleport 17.7.26", kind: "credentials in logs of errors", test: secretsInErrors},
	{id: "Teleport 67707", of: "Teleport 17.7.26", kind: "requests by X-Forwarded-Host", test: forwardedHost},
	{id: "Teleport 67773", of: "Teleport 17.7.26", kind: "separators in the names of a copied folder",
		held: []string{"internal/client/ssh TestDownloadFromAHostileHost"}},
	{id: "CVE-2025-22149", of: "jwkset 0.6", kind: "keys that were withdrawn stay good", test: withdrawnKeys,
		held: []string{"internal/jwks TestRefreshStory"}},
	{id: "CVE-2026-39829", of: "x/crypto 0.52", kind: "huge RSA keys", test: hugeRSAKey,
		held: []string{"internal/cert TestSSHPublicKeysThatAreRefused", "internal/cert TestCSRsThatAreRefused"}},
	{id: "OpenSSH 10.3, ssh-inscribe 0.12", of: "OpenSSH 10.3", kind: "a certificate without principals is good for anybody", test: principals,
		held: []string{"internal/cert TestSSHProductsAreComparedWithWhatWasAsked"}},
	{id: "OpenSSH, comma in a principal", of: "OpenSSH", kind: "one principal is read as several",
		held: []string{"internal/cert TestSSHPrincipalsWithLabels", "pkg/rules TestLoginsAreNoPrincipalsWithLabels", "pkg/rules FuzzLabels"}},
	{id: "CVE-2026-106583", of: "OpenSSH 10.6", kind: "a user name that is expanded", test: expandedLogins,
		held: []string{"internal/client/ssh TestParseTarget"}},
	{id: "CVE-2026-42508", of: "x/crypto knownhosts 0.52", kind: "a revoked authority is not looked for",
		held: []string{"internal/client/ssh TestHostKeys"}},
	{id: "CVE-2026-39832, CVE-2026-39833, CVE-2025-47913, CVE-2025-47914, CVE-2026-46598", of: "x/crypto agent", kind: "constraints that are dropped, and panics",
		test: versions(module{"golang.org/x/crypto", "v0.52.0"}), held: []string{"internal/client/agent TestAgentServesOneCertificate"}},
	{id: "CVE-2024-45337, CVE-2026-46595, CVE-2026-39828, CVE-2026-39835, CVE-2026-39827, CVE-2026-39830, CVE-2026-39834, CVE-2026-46597", of: "x/crypto/ssh 0.52",
		kind: "an SSH server", test: versions(module{"golang.org/x/crypto", "v0.52.0"})},
	{id: "CVE-2026-34986, GO-2026-5052, GO-2026-5764", of: "go-jose, go-pkcs12, eventstream", kind: "parsers of libraries",
		test: versions(module{"github.com/golang-jwt/jwt/v5", "v5.2.2"}, module{"github.com/MicahParks/jwkset", "v0.6.0"})},
	{id: "GO-2026-4970 and seven more", of: "Go 1.26.6", kind: "faults of the standard library", test: floorOfGo},
	{id: "CVE-2026-49835", of: "timestamp-authority", kind: "labels of metrics without bound", held: []string{"internal/lambda TestMetrics"}},
	{id: "CVE-2026-7776, CVE-2024-12289", of: "Boundary", kind: "slow TLS handshakes",
		held: []string{"test/attack TestFloodsOfTLS", "internal/ctl/service TestTimeLimits"}},
	{id: "CVE-2026-22703, CVE-2026-24122, CVE-2026-39395, CVE-2026-54787", of: "cosign, sigstore-go", kind: "a verifier that says yes where it could not read",
		held: []string{"internal/client/credentials TestInspectOfNoCredential", "internal/cert TestCertificatesInPEMAreReadStrictly"}},
	{id: "CVE-2025-49825", of: "Teleport 17.5.2", kind: "a login without authentication", why: "Gatepass runs no SSH server: the host's sshd decides by the certificate"},
	{id: "CVE-2025-6037", of: "Vault", kind: "a certificate taken for another by its common name", why: "Gatepass lets nobody in by a certificate; docs/certificates.md has servers map the whole subject"},
	{id: "CVE-2026-39388", of: "OpenBao", kind: "a renewal with another certificate", why: "nothing is renewed by a certificate: each join needs an ID token"},
	{id: "CVE-2025-3879, CVE-2025-11621, CVE-2025-59048", of: "Vault, OpenBao", kind: "a cloud account that is known by its name only", why: "no cloud's identity is a join method; rules of the CIs name UUIDs, and lint asks for them"},
	{id: "CVE-2026-33757", of: "OpenBao", kind: "a callback of OpenID Connect", why: "there is no login in a browser, and no callback"},
}

func TestAdvisories(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range advisories {
		t.Run(a.id, func(t *testing.T) {
			if seen[a.id] || a.of == "" || a.kind == "" {
				t.Error("it is there twice, or not described")
			}
			seen[a.id] = true
			if (a.test == nil && len(a.held) == 0) == (a.why == "") {
				t.Error("it needs a test, or else the reason why it cannot exist here")
			}
			for _, h := range a.held {
				exists(t, h)
			}
			if a.test != nil {
				a.test(t)
			}
		})
	}
}

// exists fails the test unless a package has a test of that name.
func exists(t *testing.T, held string) {
	t.Helper()
	folder, name, _ := strings.Cut(held, " ")
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	worldtest.Must(t, err)
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		worldtest.Must(t, err)
		if declared.Match(text) {
			return
		}
	}
	t.Errorf("%s has no test %s", folder, name)
}
