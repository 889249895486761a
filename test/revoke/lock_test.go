package revoke

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestLockWithJoinsRunning locks a bot while jobs join without a pause. Every join
// that began after the command had ended is refused; every one that had ended before
// it began, and every one of another bot, is granted.
func TestLockWithJoinsRunning(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *world{"data": local, "stack": deployed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lockWithJoinsRunning(t, start(t))
		})
	}
}

// made is a join of the test.
type made struct {
	answer
	rule         string
	began, ended time.Time
}

func lockWithJoinsRunning(t *testing.T, w *world) {
	var (
		mu    sync.Mutex
		joins []made
		stop  = make(chan struct{})
		wg    sync.WaitGroup
	)
	count := func(rule string, since time.Time) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, j := range joins {
			if j.rule == rule && j.began.After(since) {
				n++
			}
		}
		return n
	}
	enough := func(since time.Time) {
		t.Helper()
		until(t, "no joins are made", func() bool { return count("example-bot", since) >= 5 && count("other-bot", since) >= 5 })
	}
	for i := range 4 {
		rule := []string{"example-bot", "other-bot"}[i%2]
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				a, err := w.ask(rule)
				if err != nil {
					a.code = fmt.Sprintf("no answer: %v", err)
				}
				mu.Lock()
				joins = append(joins, made{a, rule, began, time.Now()})
				mu.Unlock()
			}
		})
	}
	enough(time.Time{})
	locking := time.Now()
	w.Ctl("lock", "bot", "example", "--message", "incident 42")
	locked := time.Now()
	enough(locked)
	unlocking := time.Now()
	w.Ctl("unlock", "bot", "example")
	unlocked := time.Now()
	enough(unlocked)
	close(stop)
	wg.Wait()

	for _, j := range joins {
		want := "ok"
		if j.rule == "example-bot" {
			switch {
			case j.ended.Before(locking) || j.began.After(unlocked):
			case j.began.After(locked) && j.ended.Before(unlocking):
				want = "locked"
			default:
				continue // while the lock came or went
			}
		}
		if j.code != want {
			t.Errorf("a join by %s that began %s after the bot was locked came to %q, want %q", j.rule, j.began.Sub(locked), j.code, want)
		}
	}
}
