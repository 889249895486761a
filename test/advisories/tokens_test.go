package advisories

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// An ID token names its own issuer, on loopback or elsewhere: nobody is asked.
func issuerOfTheToken(t *testing.T) {
	w := newWorld(t)
	var connections atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	worldtest.Must(t, err)
	defer l.Close()
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			connections.Add(1)
			conn.Close()
		}
	}()
	at := l.Addr().String()
	for _, iss := range []string{"http://" + at, "https://" + at, "https://" + at + "/.well-known/openid-configuration", "https://" + w.issuer.Host() + "@" + at,
		w.issuer.BitbucketURL() + "/../../" + at, "gopher://" + at, "file:///etc/passwd", "http://169.254.169.254/latest/meta-data"} {
		w.refused(t, w.mint(t, issuertest.BitbucketJob{}, issuertest.WithClaim("iss", iss)), api.CodeTokenNotFound)
	}
	for _, field := range []string{"jku", "x5u"} {
		if a := w.join(t, w.mint(t, issuertest.BitbucketJob{}, issuertest.WithHeader(field, "https://"+at), issuertest.WithHeader("kid", "https://"+at))); a.Serial != "" {
			t.Errorf("the key of %s is taken", field)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections to an address that an ID token names", n)
	}
	w.honest(t)
}

// Issuers are compared byte for byte, and a rule cannot name a pattern.
func issuersThatLookAlike(t *testing.T) {
	w := newWorld(t)
	right := w.issuer.BitbucketURL()
	for _, iss := range []string{right + "/", right + ".evil.example.com", right + "?x", right + "#x", strings.ToUpper(right), strings.Replace(right, "https://", "https://evil@", 1),
		strings.Replace(right, "https://", "http://", 1), strings.Replace(right, ".", "x", 1), " " + right, right + "\u0000", right[:len(right)-1], right + "\n"} {
		w.refused(t, w.mint(t, issuertest.BitbucketJob{}, issuertest.WithClaim("iss", iss)), api.CodeTokenNotFound)
	}
	for _, pattern := range []string{"https://.*", "https://[a-z]+.example.com", "https://*.example.com", "^" + right + "$"} {
		refuseRules(t, strings.ReplaceAll(rules, "ISSUER", `"`+pattern+`"`))
	}
	w.honest(t)
}

// A redirect is not followed, and the document of another issuer is not taken.
func redirectedDiscovery(t *testing.T) {
	other, err := issuertest.New(issuertest.Config{})
	worldtest.Must(t, err)
	defer other.Close()
	w := newWorld(t)
	roots, err := jwks.Roots(append(w.issuer.CA(), other.CA()...))
	worldtest.Must(t, err)
	client, err := jwks.NewHTTPClient(jwks.ClientConfig{PrivateIssuers: []string{w.issuer.Host(), other.Host()}, RootCAs: roots})
	worldtest.Must(t, err)
	for name, b := range map[string]issuertest.Behaviour{
		"the discovery is elsewhere": {Redirect: other.BitbucketURL() + "/.well-known/openid-configuration", OnlyDiscovery: true},
		"the keys are elsewhere":     {Redirect: other.BitbucketURL() + "/keys.json", OnlyKeys: true},
		"the document of another":    {DiscoveryIssuer: other.BitbucketURL()},
	} {
		w.issuer.Misbehave(b)
		if keys, _, err := jwks.Fetch(t.Context(), client, w.issuer.BitbucketURL()); err == nil {
			t.Errorf("%s: fetched %s", name, keys)
		}
	}
	if n := other.Requests(); n.Discovery+n.Keys != 0 {
		t.Errorf("the other issuer was asked %+v", n)
	}
	w.issuer.Behave()
	w.honest(t)
}

// Neither dots nor any other byte of a long token take memory.
func tokenOfDots(t *testing.T) {
	const size = 8 << 20
	for _, text := range []string{".", "eyJ.", "a.b.c.", "=", "{"} {
		hostile := strings.Repeat(text, size/len(text))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := token.Parse(hostile)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%q: taken", text)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > size/8 {
			t.Errorf("a token of %d MiB of %q took %d KiB", size>>20, text, used>>10)
		}
	}
}

// Every form of JWS but the compact one with one good signature is refused, whatever else is in it.
func craftedJWS(t *testing.T) {
	w := newWorld(t)
	good := w.mint(t, issuertest.BitbucketJob{})
	evil := w.mint(t, issuertest.BitbucketJob{BranchName: wanted})
	g, e := strings.Split(good, "."), strings.Split(evil, ".")
	unsigned, err := issuertest.Unsigned(good, "key-1")
	worldtest.Must(t, err)
	for name, raw := range map[string]string{
		"general JSON, two signatures": `{"payload":"` + e[1] + `","signatures":[{"protected":"` + g[0] + `","signature":"` + g[2] + `"},{"protected":"` + e[0] + `","signature":"AA"}]}`,
		"flattened JSON":               `{"payload":"` + g[1] + `","protected":"` + g[0] + `","signature":"` + g[2] + `"}`,
		"a detached payload":           g[0] + ".." + g[2],
		"signatures in a row":          good + ":" + e[2],
		"a second signature":           good + "." + e[2],
		"another's payload":            g[0] + "." + e[1] + "." + g[2],
		"another's payload before":     e[1] + "." + good,
		"no signature":                 g[0] + "." + g[1] + ".",
		"algorithm none":               unsigned,
		"padding after the signature":  good + "==",
		"a payload that is not base64": g[0] + "." + base64.StdEncoding.EncodeToString([]byte(`{"iss":"??>>"}`)) + "." + g[2],
		"white space":                  strings.Replace(good, ".", ". ", 1),
	} {
		if a := w.join(t, raw); a.Serial != "" || a.Status/100 != 4 {
			t.Errorf("%s: answered with %d %s", name, a.Status, a.Content)
		}
	}
	if a := w.join(t, good); a.Serial == "" {
		t.Errorf("the good one is answered with %d %s", a.Status, a.Content)
	}
}

// A key that its issuer withdrew is not good after a refresh.
func withdrawnKeys(t *testing.T) {
	w := newWorld(t)
	w.honest(t)
	stolen := w.mint(t, issuertest.BitbucketJob{})
	worldtest.Must(t, w.issuer.Rotate("key-2"))
	w.issuer.RemoveKey("key-1")
	refresh := w.CtlCommand("keys", "refresh")
	refresh.Env = append(os.Environ(), w.env...)
	worldtest.Run(t, refresh).OK(t)
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) { // serve looks again within a minute
		if a := w.join(t, w.mint(t, issuertest.BitbucketJob{})); a.Serial != "" || time.Now().After(deadline) {
			break
		}
	}
	if a := w.join(t, stolen); a.Serial != "" {
		t.Error("a withdrawn key is good")
	}
	w.honest(t)
}

// An RSA key of 16,384 bits, which takes a verifier seconds, is refused before anything is done with it.
func hugeRSAKey(t *testing.T) {
	w := newWorld(t)
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 16384))
	worldtest.Must(t, err)
	n.SetBit(n.SetBit(n, 16383, 1), 0, 1)
	public, err := ssh.NewPublicKey(&rsa.PublicKey{N: n, E: 65537})
	worldtest.Must(t, err)
	status, text := w.send(t, "POST", api.PathJoin, `{"token":"bitbucket","id_token":"`+w.mint(t, issuertest.BitbucketJob{})+
		`","credentials":[{"name":"ssh","type":"ssh","public_key":"`+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))+`"}]}`)
	if status != api.CodeUnsupportedKey.Status() || !strings.Contains(text, string(api.CodeUnsupportedKey)) {
		t.Errorf("answered with %d %s", status, text)
	}
	w.honest(t)
}
