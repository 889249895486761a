package rules

import (
	"fmt"
	"maps"
	"slices"
)

// nodeLabels checks what a role asks of hosts.
func (c *checker) nodeLabels(up *path, w wireLabels, allow bool) map[string][]string {
	at := up.field(fieldNodeLabels)
	switch {
	case w == nil:
		return nil
	case !allow:
		c.fault(&at, nodeLabelsDenied)
		return nil
	case len(w) == 0:
		c.fault(&at, "names no label, which is no host at all; write labels, or remove it for every host")
		return nil
	case w["*"] != nil:
		c.fault(&at, "has '*' and is not '*': '*' alone; write that for every host, or the names of labels")
		return nil
	}
	c.count(&at, len(w), MaxHostLabels, "labels")
	labels, product, size := map[string][]string{}, 1, 0
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if problem := checkLabel(name); problem != "" {
			c.fault(&at, "the name of a label "+problem)
		}
		values := c.labelValues(&at, name, w[name])
		labels[name] = values
		product = min(product*len(values), maxCombinations+1)
		size += len(name) + len(",=") + longest(values)
	}
	switch {
	case product > maxCombinations:
		c.fault(&at, fmt.Sprintf("stands for more than %d combinations of values, each a principal of the certificate; write fewer, or several roles", maxCombinations))
	case size > maxConjunction:
		c.fault(&at, fmt.Sprintf("has %d characters in one combination of values; at most %d are allowed", size, maxConjunction))
	}
	return labels
}

func (c *checker) labelValues(up *path, name string, values []text) (out []string) {
	at := up.field(name)
	if len(values) == 0 {
		c.fault(&at, "has no values, which is no host at all; write one, or remove the label")
	}
	for i := range c.count(&at, len(values), maxCombinations, "values") {
		element := at.element(i)
		if len(values) == 1 {
			element = at // one value is written without a list
		}
		c.fault(&element, checkLabel(string(values[i])))
		out = append(out, string(values[i]))
	}
	c.unique(&at, out)
	return out
}

func longest(list []string) (n int) {
	for _, s := range list {
		n = max(n, len(s))
	}
	return n
}
