package service

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// What a job chose moves no terminal that shows the log, and the log says what it was.
func TestTheLogMovesNoTerminal(t *testing.T) {
	const nasty = "\x1b[2J\r\u009b\u0085\u202e\u2066\U000e0041\x7f\u2028\n"
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(escaped{&out}, nil)).Info("join", "branchName", nasty)
	line := strings.TrimSuffix(out.String(), "\n")
	if strings.ContainsFunc(line, func(r rune) bool { return !words.Harmless(r) }) {
		t.Errorf("%q", line)
	}
	var read map[string]any
	if err := json.Unmarshal([]byte(line), &read); err != nil || read["branchName"] != nasty {
		t.Errorf("%v: %q", err, read)
	}
}
