package lambda_test

import (
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newIssuer(t testing.TB) *issuertest.Issuer {
	t.Helper()
	issuer, err := issuertest.New(issuertest.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, issuer.Close()) })
	return issuer
}
