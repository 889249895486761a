package test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// One valid ID token, replayed for 8 s, made 292 MB of records, 1,132 MB with < in a claim,
// and a server of 1,035 MB of memory; an honest join waited 6 s behind it.
func TestOneValidIDTokenReplayedHard(t *testing.T) {
	w := newWorld(t) // which sets no limit by source: it is to be held without one
	size := func() (bytes int64) {
		for _, suffix := range []string{"", "-wal"} {
			info, err := os.Stat(filepath.Join(w.Serve.Data, "gatepass.db"+suffix))
			must(t, err)
			bytes += info.Size()
		}
		return bytes
	}
	token := func(branch string) string {
		token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{BranchName: branch})
		must(t, err)
		return token
	}
	if status, _ := postJoin(t, w.URL, token("main")); status != http.StatusOK {
		t.Fatalf("joined with status %d", status)
	}
	before := size()
	body, err := json.Marshal(api.JoinRequest{Token: "bitbucket", IDToken: token(strings.Repeat("<", 1500)), Credentials: []api.CredentialRequest{
		{Name: "jwt", Type: api.TypeJWT, Audience: "https://example.com"},
	}})
	must(t, err)

	var refused, other atomic.Int64
	stop := time.Now().Add(4 * time.Second)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
			for time.Now().Before(stop) {
				resp, err := client.Post(w.URL+api.PathJoin, "application/json", bytes.NewReader(body))
				if err != nil {
					continue
				}
				resp.Body.Close()
				if resp.StatusCode == api.CodeNoRuleMatched.Status() {
					refused.Add(1)
				} else {
					other.Add(1)
				}
			}
		})
	}
	for time.Now().Before(stop) {
		if status, _ := postJoin(t, w.URL, token("main")); status != http.StatusOK {
			t.Errorf("an honest join is answered with %d", status)
		}
		time.Sleep(200 * time.Millisecond)
	}
	wg.Wait()
	grown, memory := size()-before, w.Serve.MostMemory()
	t.Logf("%d refusals, %d other answers; the database grew by %d KiB, and the server had %d MiB at most", refused.Load(), other.Load(), grown>>10, memory>>20)
	if refused.Load() < 100 || other.Load() > 0 {
		t.Errorf("%d were refused and %d answered otherwise", refused.Load(), other.Load())
	}
	if grown > 8<<20 {
		t.Errorf("the database grew by %d MiB", grown>>20)
	}
	if memory > 128<<20 {
		t.Errorf("the server had %d MiB", memory>>20)
	}
	if out := w.Serve.Ctl("joins", "ls", "--outcome", "no_rule_matched"); !strings.Contains(out, "no_rule_matched (") || !strings.Contains(out, " or more)") {
		t.Errorf("the count is not shown:\n%s", out)
	}
}

// With the limit that is on by default one address may send so much, and jobs elsewhere join.
func TestOneAddressIsLimited(t *testing.T) {
	w := newWorld(t)
	s := worldtest.StartServeWith(t, w.Serve.Data, worldtest.ServeOptions{Flags: []string{"--rate-limit", "1200"}})
	stranger := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).DialContext}}
	limited := 0
	for range 1500 {
		resp, err := stranger.Get(s.URL + api.PathAuthorities)
		must(t, err)
		_, _ = bytes.NewBuffer(nil).ReadFrom(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == api.CodeRateLimited.Status() {
			limited++
		}
	}
	if limited == 0 {
		t.Error("nothing was limited")
	}
	token, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	if status, _ := postJoin(t, s.URL, token); status != http.StatusOK {
		t.Errorf("an honest join from elsewhere is answered with %d", status)
	}
}
