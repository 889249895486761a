package api_test

import (
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestLogin(t *testing.T) {
	for principal, want := range map[string]string{
		"deploy":                          "deploy",
		"deploy@example.com":              "deploy@example.com",
		"deploy@env=prod":                 "deploy",
		"deploy@env=prod,tier=web":        "deploy",
		"deploy@example.com@env=prod,b=2": "deploy@example.com",
		"":                                "",
	} {
		if got := api.Login(principal); got != want {
			t.Errorf("%q is about %q, want %q", principal, got, want)
		}
	}
}
