package jwks

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// memStore is key sets in memory, which keep to the contract of stores.
type memStore struct {
	store.Store // nil: nothing but what is below is called

	mu      sync.Mutex
	issuers []string
	sets    map[string]store.KeySet
	err     error // answers everything with it
	failErr error // answers KeySetFailed with it
	pinNow  bool  // pins the set when a fetched one is put, as a racing import does
}

func newStore(issuers ...string) *memStore {
	return &memStore{issuers: issuers, sets: map[string]store.KeySet{}}
}

func (s *memStore) Issuers(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.issuers)
	slices.Sort(list)
	return slices.Compact(list), s.err
}

func (s *memStore) KeySet(_ context.Context, issuer string) (store.KeySet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ks, ok := s.sets[issuer]
	if !ok {
		return store.KeySet{}, cmp.Or(s.err, store.ErrNotFound)
	}
	return ks, s.err
}

func (s *memStore) PutKeySet(_ context.Context, ks store.KeySet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.sets[ks.Issuer]
	switch {
	case s.err != nil:
		return s.err
	case !ks.Pinned && (old.Pinned || s.pinNow):
		return store.ErrPinned
	case !ks.Pinned && old.FetchedAt.After(ks.FetchedAt) && !old.FetchedAt.After(ks.FetchedAt.Add(store.MaxClockSkew)):
		return store.ErrFetchedLater
	}
	ks.Failure = ""
	s.sets[ks.Issuer] = ks
	return nil
}

func (s *memStore) KeySetFailed(_ context.Context, issuer string, at time.Time, failure string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.err, s.failErr); err != nil {
		return err
	}
	ks := s.sets[issuer]
	ks.Issuer, ks.TriedAt, ks.Failure = issuer, at, failure
	s.sets[issuer] = ks
	return nil
}

func (s *memStore) get(issuer string) store.KeySet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sets[issuer]
}

// testServer is an HTTPS server on loopback that counts its connections.
type testServer struct {
	*httptest.Server
	opened, closed atomic.Int32
}

func newServer(t testing.TB, h http.Handler, configure ...func(*httptest.Server)) *testServer {
	t.Helper()
	s := &testServer{Server: httptest.NewUnstartedServer(h)}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.opened.Add(1)
		case http.StateClosed:
			s.closed.Add(1)
		}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, c := range configure {
		c(s.Server)
	}
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *testServer) hostPort() string { return s.Listener.Addr().String() }

func (s *testServer) port() string {
	_, port, _ := net.SplitHostPort(s.hostPort())
	return port
}

func (s *testServer) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// client trusts the server and has it named as a private issuer.
func (s *testServer) client(t testing.TB) *http.Client {
	t.Helper()
	c, err := NewHTTPClient(ClientConfig{PrivateIssuers: []string{s.hostPort()}, RootCAs: s.roots(), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issuerHandler serves discovery of the issuer at the root of its host, and keys.
func issuerHandler(keys func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(discoveryPath, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"issuer":"https://%s","jwks_uri":"https://%s/keys","claims_supported":["aud"]}`, r.Host, r.Host)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, keys()) })
	return mux
}

// fakeDNS returns a resolver that knows only what answer says; n counts the
// queries of one name and type from 0. It speaks DNS over a stream (RFC 1035 §4.2.2).
func fakeDNS(t testing.TB, answer func(name string, n int) []string) *net.Resolver {
	t.Helper()
	var mu sync.Mutex
	counts := map[string]int{}
	lookUp := func(name string, qtype uint16) (addrs []netip.Addr) {
		mu.Lock()
		defer mu.Unlock()
		key := fmt.Sprint(name, qtype)
		for _, s := range answer(name, counts[key]) {
			if a := netip.MustParseAddr(s); a.Is4() == (qtype == 1) {
				addrs = append(addrs, a)
			}
		}
		counts[key]++
		return addrs
	}
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serveDNS(server, lookUp)
		return client, nil
	}}
}

func serveDNS(conn net.Conn, lookUp func(string, uint16) []netip.Addr) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, q); err != nil {
			return
		}
		var labels []string
		end := 12
		for q[end] != 0 {
			n := int(q[end])
			labels = append(labels, string(q[end+1:end+1+n]))
			end += n + 1
		}
		addrs := lookUp(strings.Join(labels, "."), binary.BigEndian.Uint16(q[end+1:]))
		msg := slices.Concat(q[:2], []byte{0x81, 0x80, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0}, q[12:end+5])
		for _, a := range addrs {
			msg = append(msg, 0xc0, 12, q[end+1], q[end+2], 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8))
			msg = append(msg, a.AsSlice()...)
		}
		if _, err := conn.Write(slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg)); err != nil {
			return
		}
	}
}

// Keys for tests. Sizes other than 2048 bits need no real RSA key.

var (
	rsaKey = sync.OnceValue(func() *rsa.PublicKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return &k.PublicKey
	})
	ecKey = sync.OnceValue(func() []byte {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		return point
	})
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// modulus returns an odd number of so many bits in base64url.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return b64(n.SetBit(n, 0, 1).Bytes())
}

func rsaJWK(rest string) string {
	return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"%s}`, b64(rsaKey().N.Bytes()), rest)
}

func ecJWK(rest string) string {
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q%s}`, b64(ecKey()[1:33]), b64(ecKey()[33:]), rest)
}

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
