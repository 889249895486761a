package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
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
