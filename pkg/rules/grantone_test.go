package rules

import "testing"

// A role grants what it is asked for as a whole: also a want that is neither the first
// nor the last has to be among its values.
func TestEveryWantIsTested(t *testing.T) {
	role := &Role{Metadata: Metadata{Name: "r"}, Version: "v7", Allow: Conditions{
		DBUsers: []string{"app"}, DBNames: []string{"orders"}, AppNames: []string{"grafana"},
	}}
	g := &granter{bot: &Bot{Roles: []string{"r"}}, all: []*Role{role}, selected: []*Role{role}}
	user, app := want{fieldDBUsers, "app"}, want{fieldAppNames, "grafana"}
	if _, not := g.one("db_user", "x", user, want{fieldDBNames, "orders"}, app); not != nil {
		t.Errorf("three that the role has: %v", not)
	}
	for i, wants := range [][]want{
		{{fieldDBUsers, "root"}, {fieldDBNames, "orders"}, app},
		{user, {fieldDBNames, "payroll"}, app},
		{user, {fieldDBNames, "orders"}, {fieldAppNames, "vault"}},
	} {
		if granted, not := g.one("db_user", "x", wants...); not == nil {
			t.Errorf("granted though want %d of three is not the role's: %+v", i, granted)
		}
	}
}
