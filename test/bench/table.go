package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Table is what a run found, and how --json prints it.
type Table struct {
	Begun time.Time `json:"begun"`
	CPUs  int       `json:"cpus"`
	Load  string    `json:"load"` // the machine's load averages before the run
	Size  string    `json:"size"` // short, normal or long
	Notes []string  `json:"notes,omitempty"`
	Lines []Line    `json:"lines"`
}

// Line is one figure of the table.
type Line struct {
	Part  string  `json:"part"`
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Limit *Limit  `json:"limit,omitempty"` // nil without a goal
	Met   *bool   `json:"met,omitempty"`   // nil without a goal
}

// Limit is a goal: the figure is at most this, or at least this.
type Limit struct {
	Value float64 `json:"value"`
	Least bool    `json:"at_least,omitempty"`
}

func atMost(v float64) *Limit  { return &Limit{Value: v} }
func atLeast(v float64) *Limit { return &Limit{Value: v, Least: true} }

func (l *Limit) String() string {
	if l == nil {
		return ""
	}
	if l.Least {
		return "at least " + strconv.FormatFloat(l.Value, 'f', -1, 64)
	}
	return "at most " + strconv.FormatFloat(l.Value, 'f', -1, 64)
}

func (l *Limit) met(v float64) *bool {
	if l == nil {
		return nil
	}
	met := v <= l.Value
	if l.Least {
		met = v >= l.Value
	}
	return &met
}

// add appends a line; limit may be nil.
func (t *Table) add(part, name string, value float64, unit string, limit *Limit) {
	t.Lines = append(t.Lines, Line{Part: part, Name: name, Value: value, Unit: unit, Limit: limit, Met: limit.met(value)})
}

// note adds a sentence below the table.
func (t *Table) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// readTable reads what an earlier run printed with --json.
func readTable(file string) (*Table, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t := &Table{}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// find returns the line that says the same as another, or nil.
func (t *Table) find(same Line) *Line {
	for i := range t.Lines {
		if l := &t.Lines[i]; l.Part == same.Part && l.Name == same.Name && l.Unit == same.Unit {
			return l
		}
	}
	return nil
}

// print prints the table for people, beside the one of an earlier run unless that is nil.
func (t *Table) print(out io.Writer, before *Table) error {
	fmt.Fprintf(out, "%s, %d CPUs, load before %s, %s run\n", t.Begun.Format(time.DateTime), t.CPUs, t.Load, t.Size)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	heading := "\nPART\tWHAT\tFIGURE\tUNIT\tLIMIT\tMET"
	if before != nil {
		heading += "\tBEFORE\tNOW/BEFORE"
	}
	fmt.Fprintln(w, heading)
	for _, l := range t.Lines {
		fmt.Fprintln(w, strings.Join(l.cells(before), "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range t.Notes {
		fmt.Fprintln(out, "note:", n)
	}
	return nil
}

func (l Line) cells(before *Table) []string {
	met := ""
	if l.Met != nil {
		met = map[bool]string{true: "yes", false: "NO"}[*l.Met]
	}
	cells := []string{l.Part, l.Name, figure(l.Value), l.Unit, l.Limit.String(), met}
	if before == nil {
		return cells
	}
	if b := before.find(l); b != nil && b.Value != 0 {
		return append(cells, figure(b.Value), figure(l.Value/b.Value))
	}
	return append(cells, "-", "-")
}

// figure prints three digits or more.
func figure(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
