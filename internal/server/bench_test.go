package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// cpu is the processor time of this process, user and system, so far. Waiting
// for the disk is not in it.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured runs f and reports its processor time beside the elapsed.
func measured(b *testing.B, f func(i int)) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	for i := range b.N {
		f(i)
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkJoin is a join as the server sees it: an RS256 ID token, an SSH and an
// X.509 credential, everything stored in SQLite on this disk.
func BenchmarkJoin(b *testing.B) {
	s := newService(b)
	bodies := make([][]byte, b.N)
	for i := range bodies {
		body, err := json.Marshal(s.bitbucketRequest())
		must(b, err)
		bodies[i] = body
	}
	handler := s.Config.Handler
	measured(b, func(i int) {
		r := httptest.NewRequest(http.MethodPost, api.PathJoin, bytes.NewReader(bodies[i]))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("answered %d %s", w.Code, w.Body)
		}
	})
}

// BenchmarkRefused is a join that is refused before anything is verified, as in a flood.
func BenchmarkRefused(b *testing.B) {
	s := newService(b)
	body, err := json.Marshal(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{Audience: []string{"https://other.example.com"}})))
	must(b, err)
	handler := s.Config.Handler
	measured(b, func(int) {
		r := httptest.NewRequest(http.MethodPost, api.PathJoin, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			b.Fatalf("answered %d %s", w.Code, w.Body)
		}
	})
}

// BenchmarkJoinsAtOnce is BenchmarkJoin with so many joins under way at a time.
func BenchmarkJoinsAtOnce(b *testing.B) {
	for _, n := range []int{8, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := newService(b)
			handler := s.Config.Handler
			bodies := make(chan []byte, b.N)
			for range b.N {
				body, err := json.Marshal(s.bitbucketRequest())
				must(b, err)
				bodies <- body
			}
			close(bodies)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu(b)
			var done sync.WaitGroup
			for range n {
				done.Go(func() {
					for body := range bodies {
						r := httptest.NewRequest(http.MethodPost, api.PathJoin, bytes.NewReader(body))
						r.Header.Set("Content-Type", "application/json")
						w := httptest.NewRecorder()
						handler.ServeHTTP(w, r)
						if w.Code != http.StatusOK {
							b.Errorf("answered %d %s", w.Code, w.Body)
						}
					}
				})
			}
			done.Wait()
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
