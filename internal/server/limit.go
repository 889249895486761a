package server

import (
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// Network is what limits by source know a caller by: the address, or the first one of
// its /64 if it is IPv6, since one caller has all of that.
func Network(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap(); addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// limitBuckets is how many sources are told apart. It is fixed, and so is the memory:
// half a MiB, however many addresses a stranger has. Two sources in one bucket share its
// requests, which some hundreds of sources hardly ever do.
const limitBuckets = 1 << 16

// limit lets each source make so many requests a minute. A source that made none for a
// minute may make all of them at once; each comes back after its share of the minute.
type limit struct {
	now   func() time.Time
	began time.Time // what times count from: a clock that is set changes nothing
	share time.Duration
	seed  maphash.Seed // random, so that nobody chooses whose bucket is his
	log   *slog.Logger

	free   [limitBuckets]atomic.Int64 // when all requests of a bucket are free again
	logged atomic.Int64
}

// RateLimit returns a Config.Limit that lets each address make perMinute requests a
// minute, at least 1. An IPv6 caller is known by its /64. It logs at most once a minute
// that it refuses.
func RateLimit(perMinute int, now func() time.Time, log *slog.Logger) func(netip.Addr) (bool, time.Duration) {
	l := &limit{now: now, began: now(), share: time.Minute / time.Duration(perMinute), seed: maphash.MakeSeed(), log: log}
	l.logged.Store(-int64(time.Minute))
	return l.take
}

// take reports whether a request from addr may pass and, if not, when to come back.
func (l *limit) take(addr netip.Addr) (bool, time.Duration) {
	bucket := &l.free[maphash.Comparable(l.seed, Network(addr))%limitBuckets]
	now := l.now().Sub(l.began)
	for {
		was := bucket.Load()
		free := max(time.Duration(was), now) + l.share
		if wait := free - now - time.Minute; wait > 0 {
			l.tell(addr, now)
			return false, wait
		}
		if bucket.CompareAndSwap(was, int64(free)) {
			return true, 0
		}
	}
}

func (l *limit) tell(addr netip.Addr, now time.Duration) {
	last := l.logged.Load()
	if now-time.Duration(last) >= time.Minute && l.logged.CompareAndSwap(last, int64(now)) {
		l.log.Warn("requests are refused as rate_limited; if many jobs share this address raise --rate-limit, and if it is a proxy name it by --trusted-proxy",
			"source_addr", addr.String())
	}
}
