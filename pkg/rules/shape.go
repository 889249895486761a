package rules

import (
	"reflect"
)

// Shape is how one kind of resource is written: what a schema for editors is
// made of.
type Shape struct {
	Kind     Kind
	Versions []string
	// Metadata and Spec are structs whose fields' json tags are the fields of a
	// file; one with omitempty or omitzero may be left out. Strings, numbers,
	// booleans, lists, maps and structs of them are all that they hold.
	Metadata, Spec reflect.Type
	// PassedOver are fields of Teleport's by where they may stand, such as
	// spec.options: they are taken, whatever they hold, and do nothing.
	PassedOver map[string][]string
	// Understood are Teleport's names of our fields, by where they may stand.
	Understood map[string]map[string]string
	// Harmless are fields of Teleport's that are taken, and do nothing, if their value
	// limits nothing.
	Harmless map[string][]string
	// Unlimited are lists of labels that are taken only if they limit nothing.
	Unlimited map[string][]string
}

// Shapes returns the shapes of the four kinds.
func Shapes() []Shape {
	passed := func(more map[string][]string) map[string][]string {
		all := map[string][]string{"": {"revision", "id", "status", "sub_kind"}, "metadata": {"namespace", "revision", "id"}}
		for at, names := range more {
			all[at] = names
		}
		return all
	}
	shape := func(kind Kind, spec any, more map[string][]string, versions ...string) Shape {
		return Shape{Kind: kind, Versions: versions, Metadata: reflect.TypeFor[Metadata](), Spec: reflect.TypeOf(spec), PassedOver: passed(more)}
	}
	token := shape(KindToken, TokenRule{}, map[string][]string{"spec": suggestions()}, tokenVersion)
	lock := shape(KindLock, Lock{}, nil, lockVersion)
	lock.Understood = map[string]map[string]string{"spec.target": {"join_token": "token"}}
	return []Shape{shape(KindBot, Bot{}, nil, botVersion), token, roleShape(shape), lock}
}

func roleShape(shape func(Kind, any, map[string][]string, ...string) Shape) Shape {
	conditions := append(elsewhere(), "rules")
	options, harmless := []string{}, []string{"record_session"}
	for _, o := range teleportOptions() {
		if o.harmless == nil {
			options = append(options, o.name)
		} else {
			harmless = append(harmless, o.name)
		}
	}
	role := shape(KindRole, Role{}, map[string][]string{
		"spec.allow": conditions, "spec.deny": conditions, "spec.options": options,
	}, roleVersions()...)
	role.Understood = map[string]map[string]string{"spec.options": {
		"forward_agent": "agent_forwarding", "permit_x11_forwarding": "x11_forwarding",
		"ssh_port_forwarding": "",
	}}
	role.Harmless = map[string][]string{"spec.options": harmless}
	role.Unlimited = map[string][]string{"spec.allow": labelFields()}
	return role
}
