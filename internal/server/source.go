package server

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sethvargo/go-limiter/memorystore"
)

// SourceAddr returns a function that tells who sent a request: the connection's
// address, or, if that is one of the trusted proxies, the last address in
// X-Forwarded-For that is not. It gives the zero Addr if there is none.
func SourceAddr(trusted []netip.Prefix) func(*http.Request) netip.Addr {
	isTrusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) netip.Addr {
		conn, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return netip.Addr{}
		}
		addr := conn.Addr().Unmap()
		if !isTrusted(addr) {
			return addr
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			forwarded, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				return addr // what stands before is not to be believed
			}
			// The zone is any text its sender likes, and no part of the address.
			if addr = forwarded.Unmap().WithZone(""); !isTrusted(addr) {
				return addr
			}
		}
		return addr
	}
}

// RateLimit returns a Config.Limit that lets each address make perMinute
// requests a minute. An IPv6 caller is known by its /64.
func RateLimit(perMinute int) (func(netip.Addr) (bool, time.Duration), error) {
	store, err := memorystore.New(&memorystore.Config{
		Tokens: uint64(perMinute), Interval: time.Minute,
		// By default an address is remembered for half a day: whoever has many could
		// fill the memory.
		SweepInterval: time.Minute, SweepMinTTL: 2 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return func(addr netip.Addr) (bool, time.Duration) {
		if addr.Is6() {
			if p, err := addr.WithZone("").Prefix(64); err == nil {
				addr = p.Addr()
			}
		}
		_, _, reset, ok, err := store.Take(context.Background(), addr.String())
		if err != nil || ok {
			return err == nil, time.Minute
		}
		return false, time.Until(time.Unix(0, int64(reset)))
	}, nil
}
