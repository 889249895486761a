package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// The environment of a child process, which is this test binary run again.
const (
	childEnv    = "GATEPASS_TEST_SQLITE_CHILD"
	childDirEnv = "GATEPASS_TEST_SQLITE_DIR"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(childDirEnv)
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "open":
		s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
		if err == nil {
			err = s.Close()
		}
		exit(err)
	case "write":
		exit(writeForever(dir))
	case "change":
		exit(changeOnAndOn(dir))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childCommand runs the test binary at path as one of the children that TestMain knows.
func childCommand(path, what, dir string) *exec.Cmd {
	child := exec.Command(path)
	child.Dir = "/"
	child.Env = []string{childEnv + "=" + what, childDirEnv + "=" + dir}
	return child
}

const crashMaxJoins = 3

// crashNotAfter is an end that tells the digest, to see that nothing is mixed up.
func crashNotAfter(digest string) time.Time {
	return time.Unix(int64(4e9)+int64(len(digest)), 0).UTC()
}

// crashWriters are how many calls of a child are under way at once, so that it is
// killed in the middle of a group.
const crashWriters = 16

// writeForever uses ID tokens, the same as every other such process, by digests
// of its own, and records each use. It prints what it was told is stored.
func writeForever(dir string) error {
	s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for writer := range crashWriters {
		go func() { failed <- writeOnAndOn(s, fmt.Sprintf("%d-%d-%d", os.Getpid(), time.Now().UnixNano(), writer)) }()
	}
	return <-failed
}

func writeOnAndOn(s *sqlite.Store, me string) error {
	ctx := context.Background()
	for i := 0; ; i++ {
		token := fmt.Sprintf("token-%d", i/4) // four tries each, of which three can succeed
		digest := fmt.Sprintf("%s-%d", me, i)
		now := time.Now()
		r := store.Record{JoinID: digest, Time: now, Code: store.CodeOK, Token: token, Digest: digest}
		u := store.Use{IDToken: token, Digest: digest, MaxJoins: crashMaxJoins, MaxAnswers: 2,
			NotAfter: crashNotAfter(digest), KeepUntil: now.Add(time.Hour), Record: r, RecordUntil: now.Add(time.Hour)}
		_, err := s.Use(ctx, u)
		switch {
		case err == nil:
			fmt.Println("use", token, digest)
			if i%8 == 0 {
				err = retryUse(ctx, s, u)
			}
		case errors.Is(err, store.ErrUsed):
			r.Code = "id_token_already_used"
			err = s.Record(ctx, r, now.Add(time.Hour))
		}
		if err != nil {
			return err
		}
		fmt.Println("record", token, digest)
	}
}

// retryUse sends a use again, by another join, which is given the first answer.
func retryUse(ctx context.Context, s *sqlite.Store, u store.Use) error {
	first := u.Record.JoinID
	u.Record.JoinID += "-again"
	got, err := s.Use(ctx, u)
	if err == nil && got.JoinID != first {
		err = fmt.Errorf("the retry of %s got the answer of %s", first, got.JoinID)
	}
	return err
}

// TestKilled kills processes that write, several times and several at once.
// Whatever one was told is stored must be there, and no ID token used too often.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	for round := range 4 {
		lines := make(chan string)
		const children = 2
		for range children {
			go func() {
				defer func() { lines <- "" }()
				killed(t, childCommand(self, "write", dir), time.Duration(150+50*round)*time.Millisecond, lines)
			}()
		}
		for ended := 0; ended < children; {
			if line := <-lines; line == "" {
				ended++
			} else {
				acknowledged = append(acknowledged, line)
			}
		}
		checkAcknowledged(t, dir, acknowledged)
	}
	if len(acknowledged) < 100 {
		t.Errorf("only %d writes were acknowledged: the children hardly ran", len(acknowledged))
	}
	var result string
	if err := raw(t, dir).QueryRow("PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Errorf("integrity check: %s, %v", result, err)
	}
}

// killed runs a child, kills it a while after its first line and passes on its lines.
func killed(t *testing.T, child *exec.Cmd, after time.Duration, lines chan<- string) {
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := child.Start(); err != nil {
		t.Error(err)
		return
	}
	var timer *time.Timer
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil { // what follows the last line was not finished
			break
		}
		if timer == nil {
			timer = time.AfterFunc(after, func() { child.Process.Kill() }) // SIGKILL
		}
		lines <- strings.TrimSpace(line)
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Errorf("the child ended by itself: %v", err)
	}
}

func checkAcknowledged(t *testing.T, dir string, acknowledged []string) {
	t.Helper()
	s := open(t, dir)
	all := map[string]map[string]store.Answer{}
	for _, line := range acknowledged {
		f := strings.Fields(line)
		what, token, digest := f[0], f[1], f[2]
		if all[token] == nil {
			uses, err := s.Uses(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if len(uses) > crashMaxJoins {
				t.Errorf("%s was used %d times: %q", token, len(uses), slices.Collect(maps.Keys(uses)))
			}
			all[token] = uses
		}
		switch what {
		case "use":
			if got := all[token][digest]; !got.NotAfter.Equal(crashNotAfter(digest)) || got.JoinID != digest || got.Answers < 1 || got.Answers > 2 {
				t.Errorf("the use %s of %s is %+v, want its own join id and the end %s", digest, token, got, crashNotAfter(digest))
			}
		case "record":
			if r, err := s.Join(t.Context(), digest); err != nil || r.Token != token {
				t.Errorf("the record %s: %v, %v", digest, r.Token, err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
