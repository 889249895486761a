package service

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// A signal is not the service's fault, wherever it finds us.
func TestAnInterruptedJoinDoesNotBlameTheService(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"while the service thinks": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"while it is waited for":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			asked := make(chan struct{}, 64)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = r.Body.Read(make([]byte, 1<<10))
				asked <- struct{}{}
				answer(w, r)
			}))
			defer server.Close()
			url, err := ParseURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			client, err := New(Config{URL: url, Timeout: time.Minute, Retry: true})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				<-asked
				time.Sleep(50 * time.Millisecond)
				cancel()
			}()
			_, err = client.Join(ctx, api.JoinRequest{})
			if f := cli.Of(err); err == nil || f.Exit != cli.ExitFailed || f.Error() != "interrupted before the service had answered" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A service that refuses and then hangs has said what is wrong.
func TestAnAnswerSaysMoreThanTheTimeThatIsUp(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked.Add(1) > 1 {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer server.Close()
	url, err := ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := New(Config{URL: url, Timeout: 2 * time.Second, Retry: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Join(context.Background(), api.JoinRequest{})
	if asked.Load() < 2 || err == nil || !strings.Contains(err.Error(), "answers 502") {
		t.Errorf("after %d attempts: %v", asked.Load(), err)
	}
}
