package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// mint makes requests to join, each of a job and with keys of its own.
func (b *bench) mint(n int) ([][]byte, error) {
	return mintBy(n, func(_ int, key *ecdsa.PrivateKey) ([]byte, error) { return b.request(key) })
}

func mintBy(n int, request func(i int, key *ecdsa.PrivateKey) ([]byte, error)) ([][]byte, error) {
	bodies := make([][]byte, n)
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i := range bodies {
		g.Go(func() (err error) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err == nil {
				bodies[i], err = request(i, key)
			}
			return err
		})
	}
	return bodies, g.Wait()
}

// request asks for an SSH and an X.509 credential of a key, for a new job.
func (b *bench) request(key *ecdsa.PrivateKey) ([]byte, error) { return b.requestBy("example", key) }

// requestBy is request by another token rule. Options change the job's ID token.
func (b *bench) requestBy(rule string, key *ecdsa.PrivateKey, options ...issuertest.Option) ([]byte, error) {
	idToken, err := b.issuer.Bitbucket(issuertest.BitbucketJob{}, options...)
	if err != nil {
		return nil, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(api.JoinRequest{
		Token: rule, IDToken: idToken, Client: &api.ClientInfo{Version: "bench", OS: runtime.GOOS, Arch: runtime.GOARCH},
		Credentials: []api.CredentialRequest{
			{Name: "ssh", Type: api.TypeSSH, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))},
			{Name: "identity", Type: api.TypeX509, Usage: api.UsageIdentity,
				CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))},
		},
	})
}

// loaded is what a load came to.
type loaded struct {
	cpu      float64 // ms of the server a join
	rate     float64 // joins a second
	p50, p99 float64 // ms
}

// newClient is a client that keeps as many connections as are used at once.
func newClient(atOnce int, roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: atOnce, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
}

// load sends the requests to a server, so many at once. All must be granted.
func (b *bench) load(s *server, client *http.Client, bodies [][]byte, atOnce int) (l loaded, err error) {
	defer client.CloseIdleConnections()
	before, err := cpu(s.pid)
	if err != nil {
		return l, err
	}
	took := make([]time.Duration, len(bodies))
	var next atomic.Int64
	var g errgroup.Group
	start := time.Now()
	for range atOnce {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				began := time.Now()
				if _, err := b.join(client, s.url, bodies[i]); err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				took[i] = time.Since(began)
			}
		})
	}
	if err := g.Wait(); err != nil {
		return l, err
	}
	elapsed := time.Since(start)
	after, err := cpu(s.pid)
	if err != nil {
		return l, err
	}
	slices.Sort(took)
	return loaded{
		cpu:  ms(after-before) / float64(len(bodies)),
		rate: float64(len(bodies)) / elapsed.Seconds(),
		p50:  ms(took[len(took)/2]), p99: ms(took[len(took)*99/100]),
	}, nil
}

// join sends one request, and returns the answer if it was granted.
func (b *bench) join(client *http.Client, url string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(b.ctx, http.MethodPost, url+api.PathJoin, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("a join was answered %s: %s", resp.Status, answer)
	}
	return answer, err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median is the one in the middle; of an even number the upper one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
