package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file is how node_labels are held to by servers that know nothing of labels.
// sshd compares principals byte for byte and lets in a certificate that has any one
// of those in its AuthorizedPrincipalsFile. So a certificate names a login together
// with *all* labels that a role asks for, as one principal:
//
//	deploy@env=prod,tier=web
//
// and a host's file lists every set of labels that holds there. One principal for
// each label would let in who has any of them.
//
// No login has "=", no label has "@", ",", "=" or "#", and labels are in one order.
// So a principal says one login and one set of labels, and no other way to write
// these is signed or listed.

// Limits of labels. The host's bound its principals file, at 2^n lines a login; a
// role's could not hold anywhere if they were more.
const (
	MaxHostLabels   = 10
	maxNodeLabel    = 64  // bytes of a label's name, and of its value
	maxConjunction  = 512 // bytes of a principal beside its login
	maxCombinations = 64  // of the values of a role's labels
)

const labelRule = "a letter or digit, then also _ . / : + -"

// checkLabel says what is wrong with the name or the value of a label of a host.
func checkLabel(s string) string {
	switch {
	case s == "":
		return "is empty; write a value"
	case strings.Contains(s, "{{") || strings.Contains(s, "}}"):
		return fmt.Sprintf("%q is a template, which labels do not take; write the value", s)
	case strings.ContainsAny(s, "*^$"):
		return fmt.Sprintf("%q is a pattern, and a certificate can only name what a host has exactly; list the values, as [a, b]", s)
	case len(s) > maxNodeLabel:
		return fmt.Sprintf("has %d characters; at most %d are allowed here", len(s), maxNodeLabel)
	}
	for i := range len(s) {
		b := s[i]
		if !isAlpha(b) && !isLowerAlnum(b) && (i == 0 || strings.IndexByte("_./:+-", b) < 0) {
			return fmt.Sprintf("%q is no label that a certificate can name; write "+labelRule, s)
		}
	}
	return ""
}

// ParseLabels reads the labels of a host, NAME=VALUE,NAME=VALUE; none if s is empty.
// Each has one value, and there are at most MaxHostLabels.
func ParseLabels(s string) (map[string]string, error) {
	labels := map[string]string{}
	if s == "" {
		return labels, nil
	}
	for pair := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("label %q: write NAME=VALUE, several with commas", pair)
		}
		if problem := checkLabel(name); problem != "" {
			return nil, fmt.Errorf("name of the label %q: %s", pair, problem)
		}
		if problem := checkLabel(value); problem != "" {
			return nil, fmt.Errorf("value of the label %q: %s", pair, problem)
		}
		if _, twice := labels[name]; twice {
			return nil, fmt.Errorf("label %s is there twice; a host has one value of it", name)
		}
		labels[name] = value
	}
	if len(labels) > MaxHostLabels {
		return nil, fmt.Errorf("%d labels make %d principals a login; give at most %d, those that roles ask for", len(labels), uint64(1)<<min(len(labels), 63), MaxHostLabels)
	}
	if n := len(conjunction(labels)); n > maxConjunction {
		return nil, fmt.Errorf("the labels have %d characters together; at most %d are allowed", n, maxConjunction)
	}
	return labels, nil
}

// FormatLabels is what ParseLabels reads, the labels in their order.
func FormatLabels(labels map[string]string) string { return conjunction(labels) }

func conjunction(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, name+"="+labels[name])
	}
	return strings.Join(pairs, ",")
}

// principal is a login on hosts with all of the labels; on any host if there are none.
func principal(login, conjunction string) string {
	if conjunction == "" {
		return login
	}
	return login + "@" + conjunction
}

// CheckLogin reports why s could not be a login in a role; nil if it could.
func CheckLogin(s string) error {
	if problem := checkLogin(s); problem != "" {
		return fmt.Errorf("login %s", problem)
	}
	return nil
}

// HostPrincipals returns the principals that let in a login on a host with labels,
// sorted: the login itself, and with every set of the labels. labels are as
// ParseLabels returns them.
func HostPrincipals(login string, labels map[string]string) []string {
	names := slices.Sorted(maps.Keys(labels))
	list := make([]string, 0, 1<<len(names))
	for set := range 1 << len(names) {
		held := map[string]string{}
		for i, name := range names {
			if set&(1<<i) != 0 {
				held[name] = labels[name]
			}
		}
		list = append(list, principal(login, conjunction(held)))
	}
	slices.Sort(list)
	return list
}

// combinations returns the conjunctions that node_labels stand for, one for each
// choice of a value for every label; the empty one if there are no labels.
func combinations(labels map[string][]string) []string {
	list := []string{""}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		var longer []string
		for _, before := range list {
			for _, value := range labels[name] {
				longer = append(longer, strings.TrimPrefix(before+","+name+"="+value, ","))
			}
		}
		list = longer
	}
	return list
}

// Hosts says on which hosts logins are good, as env=prod|staging,tier=web, for people;
// "" if on every one.
func (c *Conditions) Hosts() string {
	shown := map[string]string{}
	for name, values := range c.NodeLabels {
		shown[name] = strings.Join(values, "|")
	}
	return conjunction(shown)
}
