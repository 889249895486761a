package revoke

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TestOneRequestSentThousandsOfTimes has one ID token with max_joins 1 and one request of
// 16 credentials, sent again and again by many at once. All of it is one set of serials,
// and the bot can be revoked whole.
func TestOneRequestSentThousandsOfTimes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start func(*testing.T) *world
		sends int
	}{"data": {local, 2000}, "stack": {deployed, 100}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resent(t, c.start(t), c.sends)
		})
	}
}

func resent(t *testing.T, w *world, sends int) {
	idToken, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
	worldtest.Must(t, err)
	body, err := json.Marshal(fullRequest(t, idToken))
	worldtest.Must(t, err)

	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		granted  int
		serials  = map[string]map[string]bool{} // by the credential's name
		refusals = map[api.Code]int{}
		next     = make(chan struct{})
	)
	send := func() error {
		resp, err := http.Post(w.URL+api.PathJoin, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var said struct {
			api.JoinResponse
			Code api.Code `json:"code"`
		}
		if err := json.Unmarshal(text, &said); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		mu.Lock()
		defer mu.Unlock()
		if resp.StatusCode != http.StatusOK {
			refusals[said.Code]++
			return nil
		}
		granted++
		for _, c := range said.Credentials {
			if serials[c.Name] == nil {
				serials[c.Name] = map[string]bool{}
			}
			serials[c.Name][c.Serial] = true
		}
		return nil
	}
	for range 16 {
		wg.Go(func() {
			for range next {
				if err := send(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range sends {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()

	if granted < 1 || granted > join.MaxAnswers || granted+refusals[api.CodeIDTokenAlreadyUsed] != sends {
		t.Errorf("%d answers and the refusals %v; want %d answers at most, and no other refusals", granted, refusals, join.MaxAnswers)
	}
	if len(serials) != api.MaxCredentials {
		t.Errorf("%d credentials, want %d", len(serials), api.MaxCredentials)
	}
	for name, all := range serials {
		if len(all) != 1 {
			t.Errorf("%s has %d serials", name, len(all))
		}
	}
	out := w.Ctl("revoke", "bot", "example")
	if !strings.HasPrefix(out, "revoked 15 certificates of bot/example (1 join,") {
		t.Errorf("revoke bot says\n%s", out)
	}
}

// fullRequest asks for as many credentials as one join may, of every type.
func fullRequest(t *testing.T, idToken string) *api.JoinRequest {
	t.Helper()
	r := &api.JoinRequest{Token: "example-bot", IDToken: idToken, RetryKey: rand.Text()}
	for i := range api.MaxCredentials {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		worldtest.Must(t, err)
		c := api.CredentialRequest{Name: fmt.Sprint("credential-", i), Type: api.TypeX509}
		switch {
		case i == 0:
			c.Type, c.Audience = api.TypeJWT, "https://vault.example.com"
		case i%2 == 0:
			public, err := ssh.NewPublicKey(key.Public())
			worldtest.Must(t, err)
			c.Type, c.PublicKey = api.TypeSSH, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
		default:
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
			worldtest.Must(t, err)
			c.Usage, c.DBUser = api.UsageDatabase, "app"
			c.CSR = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
		}
		r.Credentials = append(r.Credentials, c)
	}
	return r
}
