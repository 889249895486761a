package rules

import "strconv"

// path is where a field is, such as spec.bitbucket.allow[0].branch_name. It is
// only made into text when there is something to say of the field.
type path struct {
	up    *path
	name  string
	index int // of an element of a list, which has no name
}

// field returns the path of a field of the object at p.
func (p *path) field(name string) path { return path{up: p, name: name} }

// element returns the path of an element of the list at p.
func (p *path) element(i int) path { return path{up: p, index: i} }

// String returns the path as people write it; "" for the whole document.
func (p *path) String() string {
	if p == nil || p.up == nil {
		return ""
	}
	up := p.up.String()
	switch {
	case p.name == "":
		return up + "[" + strconv.Itoa(p.index) + "]"
	case up == "":
		return p.name
	}
	return up + "." + p.name
}
