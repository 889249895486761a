package admin

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// killedInTheMiddle kills commands. Whatever is stored then is what was
// before or what shall be, one transaction after another, and what is referred to
// is there; a second run completes it.
func killedInTheMiddle(p *place) {
	f := newFolder(p.t)
	f.tokens(0, 400, "main")
	apply := []string{"apply", "-f", f.dir, "--prune", "--selector", "from=folder", "--yes"}
	p.killed("apply that creates", apply, apply)

	f.tokens(100, 250, "release")
	f.remove(250, 400)
	p.killed("apply that changes and prunes", apply, apply)

	names := []string{"rm", "bot/bot-1"} // which goes after its token rules
	for _, ofIt := range []bool{true, false} {
		for i := range 250 {
			if (i%10 == 1) == ofIt {
				names = append(names, fmt.Sprintf("token/token-%d", i))
			}
		}
	}
	names = names[:1+store.MaxChanges]
	p.killed("rm", names, append(slices.Clip(names), "--ignore-not-found"))
}

// rounds is how often each command is killed.
const rounds = 4

// killed runs a command that is killed, several times, and each time another that
// completes it.
func (p *place) killed(what string, args, again []string) {
	p.t.Helper()
	before := p.state()
	inTheMiddle, most := 0, 0
	var after map[string]string
	for round := range rounds {
		early := p.kill(p.command(args...), round)
		middle := p.state()
		p.run(again...)
		done := p.state()
		if after == nil {
			after = done
		}
		same(p.t, done, after)
		total, changed := differing(before, after), differing(before, middle)
		most = len(total)
		if len(total) == 0 {
			p.t.Fatalf("%s changes nothing", what)
		}
		if n := len(changed); n%store.MaxChanges != 0 && n != len(total) {
			p.t.Errorf("%s, round %d: %d of %d changes are stored, which is no whole number of transactions", what, round, n, len(total))
		}
		for _, id := range changed {
			if middle[id] != after[id] {
				p.t.Errorf("%s, round %d: %s is neither as before nor as it shall be", what, round, id)
			}
		}
		if early && len(changed) < len(total) {
			inTheMiddle++
		}
		p.t.Logf("%s, round %d: killed %t, %d of %d changes stored", what, round, early, len(changed), len(total))
		if round < rounds-1 {
			p.restore(before)
		}
	}
	// One transaction of SQLite may be too short for a signal.
	if inTheMiddle == 0 && most > store.MaxChanges {
		p.t.Errorf("%s was never killed in the middle", what)
	}
}

// restore makes the store what it was, behind the command's back.
func (p *place) restore(state map[string]string) {
	p.t.Helper()
	s, done := p.open()
	defer func() { worldtest.Must(p.t, done()) }()
	now, err := admin.Read(p.t.Context(), s)
	worldtest.Must(p.t, err)
	wanted := decode(p.t, slices.Collect(maps.Values(state)))
	steps, err := now.Plan(wanted)
	worldtest.Must(p.t, err)
	for _, stored := range now.After(nil) {
		if _, keep := state[id(stored)]; !keep {
			step, err := now.PlanRemove(stored.Kind(), stored.Name())
			worldtest.Must(p.t, err)
			steps = append(steps, step)
		}
	}
	_, err = admin.Execute(p.t.Context(), s, steps, time.Now())
	worldtest.Must(p.t, err)
	same(p.t, p.state(), state)
}

// killWriter kills a command on a data directory when the database's log has grown
// to so many bytes: while a transaction is written, or just after.
func killWriter(t *testing.T, cmd *exec.Cmd, dir string, round int) (early bool) {
	t.Helper()
	wal, limit := filepath.Join(dir, "gatepass.db-wal"), int64(round*round*24<<10)
	worldtest.Must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			worldtest.Must(t, err)
			return false
		default:
		}
		if info, err := os.Stat(wal); err == nil && info.Size() > limit {
			worldtest.Must(t, cmd.Process.Kill())
			<-ended
			return true
		}
	}
}

// killCaller kills a command on a stack at one of its transactions: in even rounds
// before DynamoDB has it, in odd ones when it is stored and the answer is on its way.
func killCaller(t *testing.T, cmd *exec.Cmd, round int) (early bool) {
	t.Helper()
	target := ""
	for _, v := range cmd.Env {
		if url, ok := strings.CutPrefix(v, "AWS_ENDPOINT_URL_DYNAMODB="); ok {
			target = url
		}
	}
	var seen, killed atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		transaction := strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems")
		last := transaction && int(seen.Add(1)) > round/2
		kill := func() {
			killed.Add(1)
			_ = cmd.Process.Kill()
			panic(http.ErrAbortHandler)
		}
		if last && round%2 == 0 {
			kill()
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		out, err := http.NewRequest(r.Method, target+r.URL.Path, bytes.NewReader(body))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		out.Header, out.Host = r.Header.Clone(), r.Host
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		if last {
			kill()
		}
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	defer proxy.Close()
	cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL_DYNAMODB="+proxy.URL)
	err := cmd.Run()
	if killed.Load() == 0 {
		worldtest.Must(t, err)
		return false
	}
	return true
}
