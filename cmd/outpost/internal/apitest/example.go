package apitest

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"outpost/shared/contract"
)

// examples are the routes that answer as the contract's example does: a test of
// them is about what the client asks and shows.
var examples = []string{"GET /v1/usage", "GET /v1/limits", "GET /v1/billing", "POST /v1/billing/checkout", "POST /v1/billing/plan", "POST /v1/billing/portal",
	"GET /v1/tenants/{id}/billing", "POST /v1/tenants/{id}/billing/sync", "POST /v1/stripe-events/replay"}

// example is the contract's own example, the first by name, of a route's answer.
func (a *API) example(route string) func(*http.Request, map[string]any) (int, any) {
	doc, err := contract.Document()
	if err != nil {
		a.t.Fatal(err)
	}
	method, path, _ := strings.Cut(route, " ")
	var node any = doc
	for _, name := range []string{"paths", path, strings.ToLower(method), "responses", "200", "content", "application/json", "examples"} {
		inner, _ := node.(map[string]any)
		if node = inner[name]; node == nil {
			a.t.Fatalf("the contract has no example of %s: nothing at %s", route, name)
		}
	}
	all := node.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) { // the first
		if named, ok := all[name].(map[string]any); ok {
			return func(*http.Request, map[string]any) (int, any) { return http.StatusOK, named["value"] }
		}
	}
	a.t.Fatalf("the contract has no example of %s", route)
	return nil
}
