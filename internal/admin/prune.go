package admin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Selector chooses resources by their labels: all of them must be there with
// these values. It is never empty.
type Selector struct{ labels map[string]string }

// ParseSelector reads label=value[,label=value…]. Nothing that could choose more
// than was meant is understood: no empty selector, no empty value, no operator but =.
func ParseSelector(s string) (Selector, error) {
	labels := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case strings.TrimSpace(part) == "":
			return Selector{}, errors.New("a label is missing")
		case !ok || name == "" || value == "" || strings.ContainsAny(name, "!<>") || strings.HasPrefix(value, "="):
			return Selector{}, fmt.Errorf("%q is not label=value", strings.TrimSpace(part))
		case labels[name] != "":
			return Selector{}, fmt.Errorf("the label %s is there twice", name)
		}
		labels[name] = value
	}
	return Selector{labels}, nil
}

// String returns label=value,label=value in the order of the labels.
func (s Selector) String() string {
	parts := make([]string, 0, len(s.labels))
	for _, name := range slices.Sorted(maps.Keys(s.labels)) {
		parts = append(parts, name+"="+s.labels[name])
	}
	return strings.Join(parts, ",")
}

// Selects tells whether a resource carries all of the selector's labels. The zero
// Selector selects nothing.
func (s Selector) Selects(r rules.Resource) bool {
	labels := r.Meta().Labels
	for name, value := range s.labels {
		if got, ok := labels[name]; !ok || got != value {
			return false
		}
	}
	return len(s.labels) > 0
}

// Unlabelled returns the first label=value of a selector that no resource carries, and the
// nearest one that some resource does; "" if each is carried, or nothing is stored.
func (s State) Unlabelled(selector Selector) (label, near string) {
	carried := map[string]bool{}
	for _, stored := range s.order {
		for name, value := range stored.Resource.Meta().Labels {
			carried[name+"="+value] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(selector.labels)) {
		if label = name + "=" + selector.labels[name]; !carried[label] {
			return label, words.Nearest(label, slices.Sorted(maps.Keys(carried)))
		}
	}
	return "", ""
}

// Pruned is what a prune comes to.
type Pruned struct {
	Removals []Step
	// Everything says that nothing which carries the labels would be left of
	// what is stored now: a wrong folder, more likely than meant.
	Everything bool
}

// Prune plans the removal of all that the selector selects and that is not wanted.
func (s State) Prune(wanted []rules.Resource, selector Selector) Pruned {
	keep := make(map[store.Key]bool, len(wanted))
	for _, r := range wanted {
		keep[store.KeyOf(r)] = true
	}
	var p Pruned
	kept := 0
	for _, stored := range s.order {
		switch {
		case !selector.Selects(stored.Resource):
		case keep[store.KeyOf(stored.Resource)]:
			kept++
		default:
			p.Removals = append(p.Removals, removal(stored))
		}
	}
	Sort(p.Removals)
	p.Everything = kept == 0 && len(p.Removals) > 0
	return p
}
