package capacity

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

// Outcome is what a simulation found.
type Outcome struct {
	Asked, Granted int
	P50, P99       time.Duration // of granted joins
	// Refused counts by quota how often it refused a call, repeated calls included.
	Refused map[string]int
}

// First is the quota that refused most; empty if none did.
func (o Outcome) First() (name string) {
	for q, n := range o.Refused {
		if most := o.Refused[name]; n > most || n == most && q < name {
			name = q
		}
	}
	return name
}

// hop is a step of a join: calls at the same time, each of which asks of quotas.
type hop []remote

type remote struct {
	took     time.Duration
	units    map[string]float64
	attempts int
	delay    func(r *rand.Rand, attempt int) time.Duration // before another attempt
}

// The clients' attempts and delays: internal/dynamo/client.go and internal/kms/client.go.
func dynamoDelay(r *rand.Rand, attempt int) time.Duration {
	most := min(50*time.Millisecond<<attempt, 400*time.Millisecond)
	return most/2 + time.Duration(r.Int64N(int64(most/2)))
}

func kmsDelay(r *rand.Rand, attempt int) time.Duration {
	return min(time.Duration(r.Float64()*float64(time.Second<<min(attempt, 5))), time.Second)
}

// hops are the four steps of a join. Key sets are in the function's memory.
func (d Design) hops(quotas map[string]*Quota) []hop {
	dynamo := func(units map[string]float64) remote {
		return remote{DynamoDBTime, units, 4, dynamoDelay}
	}
	once := quotas["bot"].Join
	signing := remote{KMSTime, map[string]float64{"kms": 1}, 8, kmsDelay}
	last := hop{
		dynamo(map[string]float64{"writes": useUnits}),
		dynamo(map[string]float64{"writes": recordUnit, "records": recordUnit}),
	}
	return []hop{
		{dynamo(map[string]float64{"reads": readUnit, "rule": readUnit})},
		{dynamo(map[string]float64{"reads": once, "bot": once})},
		{dynamo(map[string]float64{"reads": readUnit, "locks": readUnit}), dynamo(map[string]float64{"reads": once, "role": once}),
			dynamo(map[string]float64{"uses": readUnit})},
		append(last, slices.Repeat(hop{signing}, d.Signatures)...),
	}
}

// event is something that happens to a join.
type event struct {
	at time.Duration
	do func(now time.Duration)
}

type queue []event

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// simulation is one stack under load, with functions that are warm.
type simulation struct {
	design  Design
	quotas  map[string]*Quota
	hops    []hop
	random  *rand.Rand
	queue   queue
	running int
	second  map[string]int64   // of a quota: the second of what was used
	used    map[string]float64 // in that second
	took    []time.Duration
	outcome Outcome
}

// deadline is when a function gives up, a moment before Lambda would.
const deadline = 27500 * time.Millisecond

// Simulate has jobs join a design at random moments, so many a second, for a while. It is the
// same each time.
func Simulate(d Design, rate float64, during time.Duration) Outcome {
	s := &simulation{design: d, quotas: d.quotas(), random: rand.New(rand.NewPCG(1, 2)),
		second: map[string]int64{}, used: map[string]float64{}, outcome: Outcome{Refused: map[string]int{}}}
	s.hops = d.hops(s.quotas)
	each := rate / float64(d.Stacks) // the stacks are alike: one tells of all
	for at := s.gap(each); at < during; at += s.gap(each) {
		s.outcome.Asked++
		s.push(at, s.arrive)
	}
	for len(s.queue) > 0 {
		next := heap.Pop(&s.queue).(event)
		next.do(next.at)
	}
	slices.Sort(s.took)
	if n := len(s.took); n > 0 {
		s.outcome.P50, s.outcome.P99 = s.took[n/2], s.took[n*99/100]
	}
	s.outcome.Granted = len(s.took)
	return s.outcome
}

func (s *simulation) gap(rate float64) time.Duration {
	return time.Duration(s.random.ExpFloat64() / rate * float64(time.Second))
}

func (s *simulation) push(at time.Duration, do func(time.Duration)) {
	heap.Push(&s.queue, event{at, do})
}

// allow takes units of a quota in the second of now. In each second what was not used is lost.
func (s *simulation) allow(name string, units float64, now time.Duration) bool {
	if second := int64(now / time.Second); s.second[name] != second {
		s.second[name], s.used[name] = second, 0
	}
	q := s.quotas[name]
	if s.used[name]+units > q.Rate {
		s.outcome.Refused[q.Name]++
		return false
	}
	s.used[name] += units
	return true
}

const atOnce = "Lambda: concurrency of the account"

// arrive is a request at API Gateway.
func (s *simulation) arrive(now time.Duration) {
	if !s.allow("api", 1, now) || !s.allow("lambda", 1, now) {
		return
	}
	if s.running >= s.design.concurrency() {
		s.outcome.Refused[atOnce]++
		return
	}
	s.running++
	s.step(now, now, 0)
}

// step makes the calls of a hop, and goes on when all have answered.
func (s *simulation) step(began, now time.Duration, n int) {
	if n == len(s.hops) {
		s.running--
		s.took = append(s.took, now-began)
		return
	}
	open, failed, last := len(s.hops[n]), false, now
	for _, call := range s.hops[n] {
		s.try(call, now+LocalTime/time.Duration(len(s.hops)), 0, began, func(at time.Duration, ok bool) {
			open, failed, last = open-1, failed || !ok, max(last, at)
			switch {
			case open > 0:
			case failed:
				s.running--
			default:
				s.step(began, last, n+1)
			}
		})
	}
}

// try makes a call at a time, and again after a delay if it was refused.
func (s *simulation) try(call remote, at time.Duration, attempt int, began time.Duration, done func(time.Duration, bool)) {
	s.push(at, func(now time.Duration) {
		allowed := true
		for name, units := range call.units {
			allowed = s.allow(name, units, now) && allowed
		}
		again := now + call.delay(s.random, attempt)
		switch {
		case allowed: // an answer takes from four fifths of its time to, rarely, some times of it
			took := time.Duration((0.8 + 0.2*s.random.ExpFloat64()) * float64(call.took))
			s.push(now+took, func(end time.Duration) { done(end, true) })
		case attempt+1 == call.attempts || again-began > deadline:
			done(now, false)
		default:
			s.try(call, again, attempt+1, began, done)
		}
	})
}
