package rotation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// joined is what one join came to.
type joined struct {
	began, ended time.Time
	key          *ecdsa.PrivateKey
	ssh          *ssh.Certificate
	leaves       map[string]string // PEM, by usage
	jwt          string
	authorities  api.Authorities
}

// signer tells by which key the SSH certificate was signed.
func (j *joined) signer() string { return ssh.FingerprintSHA256(j.ssh.SignatureKey) }

// kid is the key of the JWT.
func (j *joined) kid() string {
	header, _, _ := strings.Cut(j.jwt, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return err.Error()
	}
	var h struct{ KID string }
	if err := json.Unmarshal(text, &h); err != nil {
		return err.Error()
	}
	return h.KID
}

// join asks for a credential of each kind, and checks that what came belongs together.
func (w *world) join() (*joined, error) {
	j := &joined{began: time.Now(), leaves: map[string]string{}}
	token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		return nil, err
	}
	if j.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	request, err := newRequest(token, j.key)
	if err != nil {
		return nil, err
	}
	answer, err := w.post(request)
	if err != nil {
		return nil, err
	}
	j.ended, j.authorities = time.Now(), answer.Authorities
	for _, c := range answer.Credentials {
		switch c.Type {
		case api.TypeSSH:
			parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(c.Certificate))
			if err != nil {
				return nil, err
			}
			j.ssh = parsed.(*ssh.Certificate)
		case api.TypeX509:
			j.leaves[c.Name] = c.Certificate
		case api.TypeJWT:
			j.jwt = c.Token
		}
	}
	return j, j.check()
}

func (w *world) post(request *api.JoinRequest) (*api.JoinResponse, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	resp, err := http.Post(w.URL+api.PathJoin, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	var answer api.JoinResponse
	return &answer, json.Unmarshal(text, &answer)
}

// check verifies the credentials by the authorities of the same answer.
func (j *joined) check() error {
	if j.ssh == nil || len(j.leaves) != 4 || j.jwt == "" {
		return fmt.Errorf("something is missing: %+v", j)
	}
	trusted := func(key ssh.PublicKey) bool {
		return slices.ContainsFunc(j.authorities.SSHUser, func(line string) bool {
			known, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
			return err == nil && bytes.Equal(known.Marshal(), key.Marshal())
		})
	}
	checker := ssh.CertChecker{IsUserAuthority: trusted}
	if !trusted(j.ssh.SignatureKey) {
		return fmt.Errorf("the SSH certificate is signed by %s, which is not among the authorities of its own answer", j.signer())
	}
	if err := checker.CheckCert("deploy", j.ssh); err != nil {
		return err
	}
	for usage, text := range j.leaves {
		if err := verify(text, j.authorities.X509[usage]); err != nil {
			return fmt.Errorf("%s: %w", usage, err)
		}
	}
	return nil
}

// verify checks a client certificate by a list of authorities.
func verify(leaf, list string) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(list))
	c, err := cert.ParseCertificatePEM(leaf)
	if err != nil {
		return err
	}
	_, err = c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func newRequest(token string, key *ecdsa.PrivateKey) (*api.JoinRequest, error) {
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return &api.JoinRequest{Token: "bitbucket", IDToken: token, RetryKey: rand.Text(), Credentials: []api.CredentialRequest{
		{Name: "ssh", Type: api.TypeSSH, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))},
		{Name: api.UsageIdentity, Type: api.TypeX509, Usage: api.UsageIdentity, CSR: csr},
		{Name: api.UsageDatabase, Type: api.TypeX509, Usage: api.UsageDatabase, DBUser: "app", DBName: "orders", CSR: csr},
		{Name: api.UsageApplication, Type: api.TypeX509, Usage: api.UsageApplication, App: "grafana", CSR: csr},
		{Name: api.UsageKubernetes, Type: api.TypeX509, Usage: api.UsageKubernetes, KubernetesUser: "ci", CSR: csr},
		{Name: "vault", Type: api.TypeJWT, Audience: "https://vault.example.com"},
	}}, nil
}

// load is jobs that join without a pause.
type load struct {
	stop chan struct{}
	done sync.WaitGroup

	mu  sync.Mutex
	all []*joined
}

// startLoad starts it. A join that fails, or is answered with what does not belong
// together, fails the test.
func (w *world) startLoad(t *testing.T, workers int) *load {
	l := &load{stop: make(chan struct{})}
	for range workers {
		l.done.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				j, err := w.join()
				if err != nil {
					t.Errorf("a join failed: %v", err)
					return
				}
				l.mu.Lock()
				l.all = append(l.all, j)
				l.mu.Unlock()
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

// between are the joins that began after one moment and ended before another.
func (l *load) between(after, before time.Time) (some []*joined) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range l.all {
		if j.began.After(after) && j.ended.Before(before) {
			some = append(some, j)
		}
	}
	return some
}

// await waits for as many joins that begin from now on, and returns them.
func (l *load) await(t *testing.T, n int) []*joined {
	t.Helper()
	from := time.Now()
	for deadline := from.Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if some := l.between(from, time.Now()); len(some) >= n {
			return some
		}
	}
	t.Fatalf("there were not %d joins within 30 s", n)
	return nil
}
