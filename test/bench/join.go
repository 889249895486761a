package main

import (
	"fmt"
	"os"
)

const (
	memoryDir = "/dev/shm" // files in it are memory-backed
	onDisk    = "serve on disk"
	inMemory  = "serve in memory"
)

// What was measured of others, as multiples of the floor's CPU a join, on 2 cores and side by
// side with it. They are not run here.
const (
	stepCA = 5.1 // with badger; remembers tokens
	fulcio = 2.1 // X.509 only; remembers nothing
)

// atOnces are the loads.
var atOnces = []int{1, 8, 64}

// joins measures the floor and serve, in turns, so that ratios hold within the run. Each
// server gets the same requests.
func (b *bench) joins() error {
	servers, stop, err := b.joinServers()
	defer stop()
	if err != nil {
		return err
	}
	found := map[string][]loaded{}
	for range b.size.rounds {
		for _, atOnce := range atOnces {
			bodies, err := b.mint(b.size.joins)
			if err != nil {
				return err
			}
			for _, s := range servers {
				l, err := b.load(s, newClient(atOnce, nil), bodies, atOnce)
				if err != nil {
					return err
				}
				found[key(s.name, atOnce)] = append(found[key(s.name, atOnce)], l)
			}
		}
	}
	for _, s := range servers {
		for _, atOnce := range atOnces {
			b.addLoad("join", key(s.name, atOnce), medians(found[key(s.name, atOnce)]))
		}
		mib, err := resident(s.pid)
		if err != nil {
			return err
		}
		b.table.add("join", s.name+": resident", mib, "MiB", nil)
	}
	b.addRatios(found)
	return nil
}

// joinServers starts the floor, and serve on disk and in memory.
func (b *bench) joinServers() (servers []*server, stop func(), err error) {
	memory, err := os.MkdirTemp(memoryDir, "gatepass-bench-")
	if err != nil {
		return nil, func() {}, err
	}
	stop = func() {
		for _, s := range servers {
			s.stop()
		}
		_ = os.RemoveAll(memory)
	}
	for _, start := range []func() (*server, error){
		b.floor,
		func() (*server, error) { return b.serve(onDisk, b.dir) },
		func() (*server, error) { return b.serve(inMemory, memory) },
	} {
		s, err := start()
		if err != nil {
			return servers, stop, err
		}
		servers = append(servers, s)
		warm, err := b.mint(20)
		if err != nil {
			return servers, stop, err
		}
		if _, err := b.load(s, newClient(1, nil), warm, 1); err != nil {
			return servers, stop, err
		}
	}
	return servers, stop, nil
}

func key(server string, atOnce int) string { return fmt.Sprintf("%s, %d at once", server, atOnce) }

// medians is the median of each figure by itself.
func medians(all []loaded) loaded {
	of := func(get func(loaded) float64) float64 {
		var values []float64
		for _, l := range all {
			values = append(values, get(l))
		}
		return median(values)
	}
	return loaded{
		cpu: of(func(l loaded) float64 { return l.cpu }), rate: of(func(l loaded) float64 { return l.rate }),
		p50: of(func(l loaded) float64 { return l.p50 }), p99: of(func(l loaded) float64 { return l.p99 }),
	}
}

func (b *bench) addLoad(part, name string, l loaded) {
	b.table.add(part, name+": CPU a join", l.cpu, "ms", nil)
	b.table.add(part, name+": joins", l.rate, "/s", nil)
	b.table.add(part, name+": p50", l.p50, "ms", nil)
	b.table.add(part, name+": p99", l.p99, "ms", nil)
}

// addRatios adds how the store on disk compares with the floor, and by the floor with others.
func (b *bench) addRatios(found map[string][]loaded) {
	floor := func(atOnce int) loaded { return medians(found[key("floor", atOnce)]) }
	disk := func(atOnce int) loaded { return medians(found[key(onDisk, atOnce)]) }
	cpu := disk(8).cpu / floor(8).cpu
	b.table.add("join", "step-ca with badger: CPU a join (reference)", stepCA, "x floor", nil)
	b.table.add("join", "Fulcio: CPU a join (reference)", fulcio, "x floor", nil)
	b.table.add("join", key(inMemory, 8)+": CPU a join", medians(found[key(inMemory, 8)]).cpu/floor(8).cpu, "x floor", nil)
	b.table.add("join", key(onDisk, 8)+": CPU a join", cpu, "x floor", atMost(1.6))
	b.table.add("join", key(onDisk, 8)+": CPU a join", cpu/stepCA, "x step-ca", atMost(0.4))
	b.table.add("join", key(onDisk, 8)+": CPU a join", cpu/fulcio, "x Fulcio", atMost(1))
	b.table.add("join", key(onDisk, 64)+": joins", disk(64).rate/floor(64).rate, "x floor", atLeast(0.5))
	b.table.add("join", key(onDisk, 64)+": p99", disk(64).p99/floor(64).p99, "x floor", atMost(3))
}

// soakChunk is how many joins are minted before they are sent.
const soakChunk = 5000

// soakGoal is the number of joins after which the memory of serve has a limit.
const soakGoal = 100_000

// soak is the memory of serve on disk after many joins, 64 at once.
func (b *bench) soak() error {
	s, err := b.serve(onDisk, b.dir)
	if err != nil {
		return err
	}
	defer s.stop()
	client := newClient(64, nil)
	for done := 0; done < b.size.soak; {
		bodies, err := b.mint(min(soakChunk, b.size.soak-done))
		if err != nil {
			return err
		}
		if _, err := b.load(s, client, bodies, 64); err != nil {
			return err
		}
		done += len(bodies)
	}
	mib, err := resident(s.pid)
	if err != nil {
		return err
	}
	var limit *Limit
	if b.size.soak >= soakGoal {
		limit = atMost(40)
	}
	b.table.add("soak", fmt.Sprintf("%s: resident after %d joins", onDisk, b.size.soak), mib, "MiB", limit)
	return nil
}
