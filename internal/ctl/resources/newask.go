package resources

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// errNoAnswer says that the person left, or the input ended.
var errNoAnswer = errors.New("the answers ended before the questions did")

// askAll asks a person, at a terminal, for every answer that a does not have. What
// cannot be used is explained and asked for again. It ends when ctx does.
func askAll(ctx context.Context, method string, a answered, now time.Time, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(&interruptible{ctx: ctx, from: in})
	for _, q := range questionsOf(method, now) {
		if a[q.Name] != "" || q.Unasked {
			continue
		}
		q.Required = q.Required || needed(method, q.Name, a)
		answer, err := answer(q, lines, out)
		if err != nil {
			return err
		}
		if answer != "" {
			a[q.Name] = answer
		}
	}
	return nil
}

// answer asks one question until its answer can be used.
func answer(q question, lines *bufio.Scanner, out io.Writer) (string, error) {
	for {
		fmt.Fprintf(out, "\n%s\n", q.Text)
		if q.Where != "" {
			fmt.Fprintf(out, "  found %s\n", q.Where)
		}
		switch {
		case q.Default != "":
			fmt.Fprintf(out, "  [%s] > ", q.Default)
		case !q.Required:
			fmt.Fprint(out, "  [leave out] > ")
		default:
			fmt.Fprint(out, "  > ")
		}
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return "", err
			}
			return "", errNoAnswer
		}
		answer := strings.TrimSpace(lines.Text())
		if answer == "" {
			answer = q.Default
		}
		if answer == "" && !q.Required {
			return "", nil
		}
		read, err := q.Read(answer)
		if err == nil {
			return read, nil
		}
		fmt.Fprintf(out, "  ✖ %s\n", err)
	}
}

// interruptible is a reader whose Read returns when the context ends, even if
// nothing comes: a read of a terminal cannot be called off.
type interruptible struct {
	ctx  context.Context
	from io.Reader
}

func (r *interruptible) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data := make([]byte, len(p)) // p is not ours any more once Read has returned
		n, err := r.from.Read(data)
		done <- result{data[:n], err}
	}()
	select {
	case got := <-done:
		return copy(p, got.data), got.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}
