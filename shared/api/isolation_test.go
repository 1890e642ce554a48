package api_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/shared/topology"
)

// Each function that takes an id proves in its own test that strangers find
// nothing: another tenant's id gives the bytes that an unknown one gives. The
// functions are programs and cannot be called from one test, so this one fails
// where a new route lacks that row.
// hides is how a test shows that a route hides things, by whether it is the
// operator's.
var hides = map[bool]string{false: "HidesFromStrangers(w", true: "HidesFromTenants(w"}

func TestEveryRouteWithAnIdHasItsIsolationTest(t *testing.T) {
	found := 0
	for _, r := range topology.Routes {
		if !strings.Contains(r.Path, "{id}") { // a {name} is one that every tenant has
			continue
		}
		source, err := os.ReadFile(filepath.Join("../../functions", filepath.FromSlash(r.Function), "handler_test.go"))
		if err != nil {
			t.Error(err)
			continue
		}
		if found++; !strings.Contains(string(source), hides[r.Authorizer == topology.ByOperator]) || !strings.Contains(string(source), `"`+r.Path+`"`) {
			t.Errorf("%s %s has no isolation test in functions/%s", r.Method, r.Path, r.Function)
		}
	}
	if found < 8 {
		t.Errorf("only %d routes take an id", found)
	}
}
