package sshdtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// logBuffer collects a log from several goroutines and tells readers of each write.
type logBuffer struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed at the next write
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{})} }

// Write appends p; it never fails.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

// String returns everything written so far. sshd ends its lines with CR LF.
func (l *logBuffer) String() string {
	text, _ := l.read()
	return text
}

func (l *logBuffer) read() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ReplaceAll(l.text.String(), "\r\n", "\n"), l.changed
}

func (l *logBuffer) wait(ctx context.Context, text string) error {
	for {
		log, changed := l.read()
		if strings.Contains(log, text) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %q in the server's log: %w; the log:\n%s", text, context.Cause(ctx), log)
		}
	}
}
